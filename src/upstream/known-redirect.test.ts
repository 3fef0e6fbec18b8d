import { expect, test } from "bun:test";
import { KnownRedirect } from "./known-redirect.ts";
import { openRegistryTransport } from "./registry-transport.ts";
import { roundTrip } from "./round-trip.ts";
import { readBody } from "./transport/response-body.ts";
import { app } from "./upstreamtest/token-registry.ts";
import { loopbackResolver, serve, settings } from "./upstreamtest/test-servers.ts";

test("a signed URL is used again until it is refused or breaks, and then renewed", async () => {
  let valid = "";
  let refusal = (): Response => new Response("expired", { status: 403 });
  const cdn = serve(({ path }) =>
    path === `/blob?sig=${valid}` ? new Response(`bytes of ${valid}`) : refusal(),
  );
  let signatures = 0;
  let location = (): string => `http://cdn.example:${cdn.port}/blob?sig=${valid}`;
  using server = serve(() => {
    signatures += 1;
    valid = `s${signatures}`;
    return new Response("", { status: 307, headers: { location: location() } });
  });
  const upstream = settings(`http://reg.test:${server.port}`);
  const transport = openRegistryTransport({ resolver: loopbackResolver });
  const redirect = new KnownRedirect();
  const get = async (name = "x"): Promise<string> => {
    const { body, ended } = await roundTrip(upstream, transport, {
      kind: "blob",
      permit: "blob",
      method: "GET",
      url: new URL(`/v2/team/app/blobs/${name}`, upstream.url.href),
      repository: app,
      headers: {},
      redirect,
    });
    const options = { upstream: "reg.test", what: "a body", limit: 1e6, timeout: 5000 };
    const text = new TextDecoder().decode(await readBody(body, options));
    await ended;
    return text;
  };
  expect([await get(), await get(), await get()]).toEqual(Array(3).fill("bytes of s1"));
  expect([server.requests.length, cdn.requests.length]).toEqual([1, 3]);
  valid = "another";
  expect([await get(), await get()]).toEqual(Array(2).fill("bytes of s2"));
  expect([server.requests.length, cdn.requests.length]).toEqual([2, 6]);
  // What was redirected is one URL, and no other.
  expect(await get("y")).toBe("bytes of s3");
  refusal = () => new Response("expired", { headers: { "content-type": "text/html" } });
  valid = "another";
  expect(await get("y")).toBe("bytes of s4");
  // The storage is gone, and the registry knows another one.
  using other = serve(() => new Response("elsewhere"));
  location = () => `http://other.example:${other.port}/blob?sig=${valid}`;
  cdn[Symbol.dispose]();
  expect(await get("y")).toBe("elsewhere");
  expect(transport.limiter.usage("blob").inUse).toBe(0);
});
