import { expect, test } from "bun:test";
import { until } from "../../test/harness/waiting.ts";
import { type DialResponse, Dialer, type DialRequest } from "./transport/dialer.ts";
import { roundTrip } from "./round-trip.ts";
import { openRegistryTransport } from "./registry-transport.ts";
import {
  app,
  asker,
  authorizations,
  basic,
  credentials,
  guarded,
  issuer,
} from "./upstreamtest/token-registry.ts";
import {
  certificate,
  faultOf,
  onLoopback,
  serve,
  serveRaw,
  settings,
} from "./upstreamtest/test-servers.ts";

test("a redirect to another host carries no Authorization, to the same host it does", async () => {
  using auth = issuer();
  using cdn = serve(() => new Response("bytes"));
  using server = serve(({ path, headers }) => {
    if (headers.get("authorization") !== "Bearer t0") {
      const challenge = `Bearer realm="http://reg.test:${auth.port}/token"`;
      return new Response("", { status: 401, headers: { "www-authenticate": challenge } });
    }
    const location = path.endsWith("/latest")
      ? "moved?x=1"
      : `http://cdn.example:${cdn.port}/signed?sig=a%2Bb`;
    return new Response("", { status: 307, headers: { location } });
  });
  const { ask } = asker(settings(`http://reg.test:${server.port}`, { credentials }));
  expect(await ask()).toEqual({ status: 200, text: "bytes" });
  expect(server.seen.map(({ path }) => path)).toEqual([
    "/v2/team/app/manifests/latest",
    "/v2/team/app/manifests/latest",
    "/v2/team/app/manifests/moved?x=1",
  ]);
  expect(authorizations(server)).toEqual([null, "Bearer t0", "Bearer t0"]);
  expect(cdn.seen[0]?.path).toBe("/signed?sig=a%2Bb");
  expect(cdn.seen[0]?.headers.get("accept")).toBe("a/b");
  expect(authorizations(cdn)).toEqual([null]);
});

test("the same name on another port is another host", async () => {
  using other = serve(() => new Response("bytes"));
  using server = serve(({ headers }) =>
    headers.get("authorization") === basic
      ? Response.redirect(`http://reg.test:${other.port}/x`, 302)
      : new Response("", { status: 401, headers: { "www-authenticate": 'Basic realm="x"' } }),
  );
  const { ask } = asker(settings(`http://reg.test:${server.port}`, { credentials }));
  expect((await ask()).status).toBe(200);
  expect(authorizations(other)).toEqual([null]);
});

test("a 401 at the final host is answered with that host's own anonymous token", async () => {
  using auth = issuer();
  using final = guarded(
    () => `http://ghcr.example:${auth.port}/token`,
    (header) => header === "Bearer t0",
  );
  using server = serve(() => {
    const location = `http://ghcr.example:${final.port}/v2/other/name/manifests/latest`;
    return new Response("", { status: 302, headers: { location } });
  });
  const { ask } = asker(settings(`http://reg.test:${server.port}`, { credentials }));
  expect(await ask()).toEqual({ status: 200, text: "content" });
  expect(auth.seen[0]?.path).toContain("scope=repository%3Aother%2Fname%3Apull");
  expect(authorizations(auth)).toEqual([null]);
  // Known from now on, but still not sent to the redirector.
  await ask();
  expect(authorizations(final)).toEqual([null, "Bearer t0", "Bearer t0"]);
  expect(authorizations(server)).toEqual([null, null]);
});

test("a final host that wants Basic gets no credentials", async () => {
  using final = serve(
    () => new Response("", { status: 401, headers: { "www-authenticate": 'Basic realm="x"' } }),
  );
  using server = serve(() => Response.redirect(`http://evil.example:${final.port}/x`, 302));
  const { ask } = asker(settings(`http://reg.test:${server.port}`, { credentials }));
  expect((await ask()).status).toBe(401);
  expect(authorizations(final)).toEqual([null]);
});

test("the realm of a final host must be on that host's domain", async () => {
  using auth = await serveRaw((socket) => socket.end());
  using final = guarded(
    () => `http://reg.test:${auth.port}/token`,
    () => false,
  );
  using server = serve(() => Response.redirect(`http://evil.example:${final.port}/x`, 302));
  const { ask } = asker(settings(`http://reg.test:${server.port}`, { credentials }));
  expect((await faultOf(ask())).kind).toBe("address-refused");
  expect(auth.connections()).toBe(0);
});

test("redirects: five are followed, circles and more are not", async () => {
  using server = serve(({ path }) => {
    const step = /step(\d+)$/.exec(path)?.[1];
    if (path.endsWith("circle"))
      return new Response("", { status: 302, headers: { location: "circle#x" } });
    if (step === "0") return new Response("there");
    const location = `step${Number(step) - 1}`;
    return new Response("", { status: 302, headers: { location } });
  });
  const { ask } = asker(settings(`http://reg.test:${server.port}`));
  expect((await ask("manifests/step5")).text).toBe("there");
  expect(await faultOf(ask("manifests/step6"))).toMatchObject({ reason: "more than 5 redirects" });
  expect(await faultOf(ask("manifests/circle"))).toMatchObject({
    kind: "upstream-invalid-response",
    reason: expect.stringContaining("circle"),
  });
});

/** Takes the upstream's own server for one outside, which no test can have. */
class OutsideOnce extends Dialer {
  override dial(request: DialRequest): Promise<DialResponse> {
    return super.dial({ ...request, allowPrivate: request.url.hostname === "reg.test" });
  }
}

test.each([
  ["a link-local address", "http://169.254.169.254/latest/meta-data", "address-refused"],
  ["loopback by name", "http://inside.example/", "address-refused"],
  ["mapped loopback", "http://[::ffff:127.0.0.1]/", "address-refused"],
  ["another scheme", "file:///etc/passwd", "upstream-invalid-response"],
  ["nowhere", "http://", "upstream-invalid-response"],
])("a redirect to %s is refused", async (_, location, kind) => {
  using server = serve(() => new Response("", { status: 302, headers: { location } }));
  const upstream = settings(`http://reg.test:${server.port}`, { allowPrivate: false });
  const roads = { ...openRegistryTransport(), dialer: new OutsideOnce({ resolver: onLoopback }) };
  const question = {
    request: "manifest",
    slot: "metadata",
    method: "GET",
    url: new URL("/v2/team/app/manifests/latest", upstream.url.href),
    repository: app,
    headers: {},
  } as const;
  const fault = await faultOf(roundTrip(upstream, roads, question));
  expect(fault.kind).toBe(kind as "upstream-invalid-response"); // The table's third column.
});

test("https never leads to http", async () => {
  using plain = await serveRaw((socket) => socket.end());
  const tls = await certificate("reg.test");
  using server = serve(() => Response.redirect(`http://reg.test:${plain.port}/x`, 302), tls);
  const { ask } = asker(settings(`https://reg.test:${server.port}`), { ca: tls.cert });
  expect(await faultOf(ask())).toMatchObject({
    kind: "upstream-invalid-response",
    reason: expect.stringContaining("from https to http"),
  });
  expect(plain.connections()).toBe(0);
});

test("hops that are each in time are together too late", async () => {
  using server = serve(async ({ path }) => {
    await Bun.sleep(60);
    return new Response("", { status: 302, headers: { location: `${path}x` } });
  });
  const { ask, roads: transport } = asker(settings(`http://reg.test:${server.port}`), {
    timeout: 150,
  });
  expect(await faultOf(ask())).toMatchObject({ kind: "upstream-timeout", seconds: 0.15 });
  expect(transport.slots.usage("metadata").taken).toBe(0);
});

test("patience ends with the headers: a body may take longer", async () => {
  const patience = 500;
  using server = serve(
    () =>
      new Response(
        new ReadableStream({
          async start(stream) {
            const over = performance.now() + patience + 100;
            stream.enqueue("begun ");
            await until(() => performance.now() > over, { what: "the patience to be over" });
            stream.enqueue("done");
            stream.close();
          },
        }),
      ),
  );
  const { ask } = asker(settings(`http://reg.test:${server.port}`), { timeout: patience });
  expect((await ask()).text).toBe("begun done");
});

test("slots are free again after answers, faults and cancelled bodies", async () => {
  using server = serve(({ path }) =>
    path.endsWith("circle")
      ? new Response("", { status: 302, headers: { location: "circle" } })
      : new Response("x".repeat(1_000_000)),
  );
  const upstream = settings(`http://reg.test:${server.port}`);
  const { ask, roads: transport } = asker(upstream);
  await faultOf(ask("manifests/circle"));
  const controller = new AbortController();
  const open = (signal?: AbortSignal) =>
    roundTrip(upstream, transport, {
      request: "blob",
      slot: "blob",
      method: "GET",
      url: new URL("/v2/team/app/blobs/x", upstream.url.href),
      repository: app,
      headers: {},
      signal,
    });
  const [cancelled, aborted] = [await open(), await open(controller.signal)];
  expect(transport.slots.usage("blob").taken).toBe(2);
  await cancelled.body?.cancel();
  controller.abort();
  await Promise.all([cancelled.ended, aborted.ended]);
  await until(() => transport.slots.usage("blob").taken === 0, { what: "the slots to be free" });
  expect(transport.slots.usage("metadata").taken).toBe(0);
});
