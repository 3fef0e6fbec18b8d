/** A registry that requires tokens, and a client for it: helpers for the tests of this folder. */
import type { UpstreamSettings } from "../../config/settings.ts";
import { readBody } from "../transport/response-body.ts";
import { roundTrip } from "../round-trip.ts";
import { openRegistryTransport, type RegistryTransportOptions } from "../registry-transport.ts";
import {
  loopbackResolver,
  type RecordedRequest,
  repository,
  serve,
  type TestServer,
} from "./test-servers.ts";

export const app = repository("team/app");
export const credentials = { username: "me", password: "s3cret" };
/** Their Authorization header. */
export const basic = `Basic ${btoa("me:s3cret")}`;

/** A function that sends a GET below `/v2/team/app/`, and the transport that it uses. */
export function tokenClient(upstream: UpstreamSettings, options: RegistryTransportOptions = {}) {
  const transport = openRegistryTransport({
    resolver: loopbackResolver,
    ...options,
  });
  const get = async (path = "manifests/latest", signal?: AbortSignal) => {
    const response = await roundTrip(upstream, transport, {
      kind: "manifest",
      permit: "metadata",
      method: "GET",
      url: new URL(`/v2/team/app/${path}`, upstream.url.href),
      repository: app,
      headers: { accept: "a/b" },
      signal,
    });
    const bodyOptions = { upstream: "reg.test", what: "a body", limit: 1e6, timeout: 5000 };
    const text = new TextDecoder().decode(await readBody(response.body, bodyOptions));
    await response.ended;
    return { status: response.status, text };
  };
  return { get, transport };
}

/** The Authorization headers that a server received, in order. */
export function authorizations(server: TestServer): (string | null)[] {
  return server.requests.map(({ headers }) => headers.get("authorization"));
}

/** A registry that answers a bearer challenge with this realm unless it accepts the Authorization header. */
export function protectedRegistry(
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

/** A token endpoint. `body` gets the number of the request, from 1. */
export function tokenServer(
  body: (request: RecordedRequest, count: number) => unknown = () => ({ token: "t0" }),
) {
  let count = 0;
  return serve((request) => Response.json(body(request, (count += 1))));
}
