/** Asking a registry that wants tokens, for the tests of this folder. */
import type { UpstreamSettings } from "../../config/settings.ts";
import { readSmall } from "../transport/response-body.ts";
import { roundTrip } from "../round-trip.ts";
import { openRegistryTransport, type RegistryTransportOptions } from "../registry-transport.ts";
import { onLoopback, repository, type Seen, serve, type TestServer } from "./test-servers.ts";

export const app = repository("team/app");
export const credentials = { username: "me", password: "s3cret" };
/** What they look like in a header. */
export const basic = `Basic ${btoa("me:s3cret")}`;

export function asker(upstream: UpstreamSettings, options: RegistryTransportOptions = {}) {
  const transport = openRegistryTransport({
    resolver: onLoopback,
    ...options,
  });
  const ask = async (path = "manifests/latest", signal?: AbortSignal) => {
    const answer = await roundTrip(upstream, transport, {
      request: "manifest",
      slot: "metadata",
      method: "GET",
      url: new URL(`/v2/team/app/${path}`, upstream.url.href),
      repository: app,
      headers: { accept: "a/b" },
      signal,
    });
    const small = { upstream: "reg.test", what: "a body", limit: 1e6, deadline: 5000 };
    const text = new TextDecoder().decode(await readSmall(answer.body, small));
    await answer.ended;
    return { status: answer.status, text };
  };
  return { ask, roads: transport };
}

export function authorizations(server: TestServer): (string | null)[] {
  return server.seen.map((seen) => seen.headers.get("authorization"));
}

/** A registry that wants `Bearer <token>` for anything, from a realm. */
export function guarded(
  realm: () => string,
  accepts: (header: string | null) => boolean,
): TestServer {
  return serve(({ headers }) =>
    accepts(headers.get("authorization"))
      ? new Response("content")
      : new Response("{}", {
          status: 401,
          headers: {
            "www-authenticate": `Bearer realm="${realm()}",service="reg",scope="placeholder"`,
          },
        }),
  );
}

/** A token endpoint. */
export function issuer(body: (seen: Seen, count: number) => unknown = () => ({ token: "t0" })) {
  let count = 0;
  return serve((seen) => Response.json(body(seen, (count += 1))));
}
