import { expect, test } from "bun:test";
import { until } from "../../test/harness/waiting.ts";
import { type DialResponse, Dialer, type DialRequest } from "./transport/dialer.ts";
import { roundTrip } from "./round-trip.ts";
import { openRegistryTransport } from "./registry-transport.ts";
import {
  app,
  tokenClient,
  authorizations,
  basic,
  credentials,
  protectedRegistry,
  tokenServer,
} from "./upstreamtest/token-registry.ts";
import {
  certificate,
  faultOf,
  loopbackResolver,
  serve,
  serveRaw,
  settings,
} from "./upstreamtest/test-servers.ts";

test("a redirect carries Authorization to the same origin, and to no other", async () => {
  using auth = tokenServer();
  using cdn = serve(() => new Response("bytes"));
  using server = serve(({ path, headers }) => {
    if (headers.get("authorization") !== "Bearer t0") {
      const challenge = `Bearer realm="http://auth.reg.test:${auth.port}/token"`;
      return new Response("", { status: 401, headers: { "www-authenticate": challenge } });
    }
    const location = path.endsWith("/latest")
      ? "moved?x=1"
      : `http://cdn.example:${cdn.port}/signed?sig=a%2Bb`;
    return new Response("", { status: 307, headers: { location } });
  });
  const { get } = tokenClient(settings(`http://reg.test:${server.port}`, { credentials }));
  expect(await get()).toEqual({ status: 200, text: "bytes" });
  expect(server.requests.map(({ path }) => path)).toEqual([
    "/v2/team/app/manifests/latest",
    "/v2/team/app/manifests/latest",
    "/v2/team/app/manifests/moved?x=1",
  ]);
  expect(authorizations(server)).toEqual([null, "Bearer t0", "Bearer t0"]);
  expect(cdn.requests[0]?.path).toBe("/signed?sig=a%2Bb");
  expect(cdn.requests[0]?.headers.get("accept")).toBe("a/b");
  expect(authorizations(cdn)).toEqual([null]);
});

test("the same host name with another port is another origin", async () => {
  using other = serve(() => new Response("bytes"));
  using server = serve(({ headers }) =>
    headers.get("authorization") === basic
      ? Response.redirect(`http://reg.test:${other.port}/x`, 302)
      : new Response("", { status: 401, headers: { "www-authenticate": 'Basic realm="x"' } }),
  );
  const { get } = tokenClient(settings(`http://reg.test:${server.port}`, { credentials }));
  expect((await get()).status).toBe(200);
  expect(authorizations(other)).toEqual([null]);
});

test("a challenge of the final host is met with that host's own anonymous token", async () => {
  using auth = tokenServer();
  using final = protectedRegistry(
    () => `http://ghcr.example:${auth.port}/token`,
    (header) => header === "Bearer t0",
  );
  using server = serve(() => {
    const location = `http://ghcr.example:${final.port}/v2/other/name/manifests/latest`;
    return new Response("", { status: 302, headers: { location } });
  });
  const { get } = tokenClient(settings(`http://reg.test:${server.port}`, { credentials }));
  expect(await get()).toEqual({ status: 200, text: "content" });
  expect(auth.requests[0]?.path).toContain("scope=repository%3Aother%2Fname%3Apull");
  expect(authorizations(auth)).toEqual([null]);
  // The token is cached now, and still not sent to the redirecting host.
  await get();
  expect(authorizations(final)).toEqual([null, "Bearer t0", "Bearer t0"]);
  expect(authorizations(server)).toEqual([null, null]);
});

test("a Basic challenge of the final host gets no credentials", async () => {
  using final = serve(
    () => new Response("", { status: 401, headers: { "www-authenticate": 'Basic realm="x"' } }),
  );
  using server = serve(() => Response.redirect(`http://evil.example:${final.port}/x`, 302));
  const { get } = tokenClient(settings(`http://reg.test:${server.port}`, { credentials }));
  expect((await get()).status).toBe(401);
  expect(authorizations(final)).toEqual([null]);
});

test("the realm of a final host must be on that host's own domain", async () => {
  using auth = await serveRaw((socket) => socket.end());
  using final = protectedRegistry(
    () => `http://reg.test:${auth.port}/token`,
    () => false,
  );
  using server = serve(() => Response.redirect(`http://evil.example:${final.port}/x`, 302));
  const { get } = tokenClient(settings(`http://reg.test:${server.port}`, { credentials }));
  expect((await faultOf(get())).kind).toBe("address-refused");
  expect(auth.connections()).toBe(0);
});

test("five redirects are followed; loops and longer chains are not", async () => {
  using server = serve(({ path }) => {
    const step = /step(\d+)$/.exec(path)?.[1];
    if (path.endsWith("loop"))
      return new Response("", { status: 302, headers: { location: "loop#x" } });
    if (step === "0") return new Response("content");
    const location = `step${Number(step) - 1}`;
    return new Response("", { status: 302, headers: { location } });
  });
  const { get } = tokenClient(settings(`http://reg.test:${server.port}`));
  expect((await get("manifests/step5")).text).toBe("content");
  expect(await faultOf(get("manifests/step6"))).toMatchObject({ reason: "more than 5 redirects" });
  expect(await faultOf(get("manifests/loop"))).toMatchObject({
    kind: "upstream-invalid-response",
    reason: expect.stringContaining("redirects in a loop"),
  });
});

/** Treats reg.test as a public host, which no test can have. */
class PublicUpstreamDialer extends Dialer {
  override dial(request: DialRequest): Promise<DialResponse> {
    return super.dial({ ...request, allowPrivate: request.url.hostname === "reg.test" });
  }
}

test.each([
  ["a link-local address", "http://169.254.169.254/latest/meta-data", "address-refused"],
  ["loopback by name", "http://loopback.example/", "address-refused"],
  ["mapped loopback", "http://[::ffff:127.0.0.1]/", "address-refused"],
  ["another scheme", "file:///etc/passwd", "upstream-invalid-response"],
  ["an invalid URL", "http://", "upstream-invalid-response"],
])("a redirect to %s is refused", async (_, location, kind) => {
  using server = serve(() => new Response("", { status: 302, headers: { location } }));
  const upstream = settings(`http://reg.test:${server.port}`, { allowPrivate: false });
  const transport = {
    ...openRegistryTransport(),
    dialer: new PublicUpstreamDialer({ resolver: loopbackResolver }),
  };
  const request = {
    kind: "manifest",
    permit: "metadata",
    method: "GET",
    url: new URL("/v2/team/app/manifests/latest", upstream.url.href),
    repository: app,
    headers: {},
  } as const;
  const fault = await faultOf(roundTrip(upstream, transport, request));
  expect(fault.kind).toBe(kind as "upstream-invalid-response"); // The table's third column.
});

test("a redirect from https to http is refused", async () => {
  using plain = await serveRaw((socket) => socket.end());
  const tls = await certificate("reg.test");
  using server = serve(() => Response.redirect(`http://reg.test:${plain.port}/x`, 302), tls);
  const { get } = tokenClient(settings(`https://reg.test:${server.port}`), { ca: tls.cert });
  expect(await faultOf(get())).toMatchObject({
    kind: "upstream-invalid-response",
    reason: expect.stringContaining("from https to http"),
  });
  expect(plain.connections()).toBe(0);
});

test("redirects that are each in time together exceed the timeout", async () => {
  using server = serve(async ({ path }) => {
    await Bun.sleep(60);
    return new Response("", { status: 302, headers: { location: `${path}x` } });
  });
  const { get, transport } = tokenClient(settings(`http://reg.test:${server.port}`), {
    timeout: 150,
  });
  expect(await faultOf(get())).toMatchObject({ kind: "upstream-timeout", seconds: 0.15 });
  expect(transport.limiter.usage("metadata").inUse).toBe(0);
});

test("the timeout ends with the headers: a body may take longer", async () => {
  const timeout = 500;
  using server = serve(
    () =>
      new Response(
        new ReadableStream({
          async start(stream) {
            const pastTimeout = performance.now() + timeout + 100;
            stream.enqueue("first ");
            await until(() => performance.now() > pastTimeout, { what: "the timeout to pass" });
            stream.enqueue("last");
            stream.close();
          },
        }),
      ),
  );
  const { get } = tokenClient(settings(`http://reg.test:${server.port}`), { timeout });
  expect((await get()).text).toBe("first last");
});

test("permits are released after responses, faults and cancelled bodies", async () => {
  using server = serve(({ path }) =>
    path.endsWith("loop")
      ? new Response("", { status: 302, headers: { location: "loop" } })
      : new Response("x".repeat(1_000_000)),
  );
  const upstream = settings(`http://reg.test:${server.port}`);
  const { get, transport } = tokenClient(upstream);
  await faultOf(get("manifests/loop"));
  const controller = new AbortController();
  const open = (signal?: AbortSignal) =>
    roundTrip(upstream, transport, {
      kind: "blob",
      permit: "blob",
      method: "GET",
      url: new URL("/v2/team/app/blobs/x", upstream.url.href),
      repository: app,
      headers: {},
      signal,
    });
  const [cancelled, aborted] = [await open(), await open(controller.signal)];
  expect(transport.limiter.usage("blob").inUse).toBe(2);
  await cancelled.body?.cancel();
  controller.abort();
  await Promise.all([cancelled.ended, aborted.ended]);
  await until(() => transport.limiter.usage("blob").inUse === 0, {
    what: "the permits to be released",
  });
  expect(transport.limiter.usage("metadata").inUse).toBe(0);
});

test("a request that waited for its permit for long still gets a response", async () => {
  using server = serve(() => new Response("bytes"));
  const transport = openRegistryTransport({ resolver: loopbackResolver, timeout: 300 });
  const registry = settings(`http://reg.test:${server.port}`, { maxConnections: 1 });
  const release = await transport.limiter.acquire("blob", registry.name, { perUpstream: 1 });
  const url = new URL("/v2/team/app/blobs/x", registry.url);
  const responding = roundTrip(registry, transport, {
    kind: "blob",
    permit: "blob",
    method: "GET",
    url,
    repository: app,
    headers: {},
  });
  await Bun.sleep(400);
  release();
  const { status, body } = await responding;
  await body?.cancel();
  expect(status).toBe(200);
});
