import { expect, test } from "bun:test";
import { until } from "../../../test/harness/waiting.ts";
import type { Resolver } from "./address.ts";
import { readSmall } from "./response-body.ts";
import type { UpstreamEvent } from "../observer.ts";
import { dialer, read, readText, request } from "../upstreamtest/dialing.ts";
import { certificate, faultOf, rejection, serve, serveRaw } from "../upstreamtest/test-servers.ts";

test("the checked address is dialled under the name's Host, as identity, and nothing is followed", async () => {
  using server = serve(() => new Response("hello", { status: 302, headers: { location: "/x" } }));
  const url = `http://user:secret@reg.test:${server.port}/v2/a%2Bb/?x=%20y#part`;
  const answer = await dialer().dial(request(url, { headers: { accept: "a/b", host: "evil" } }));
  expect(answer.status).toBe(302);
  expect(await readText(answer.body)).toBe("hello");
  await answer.ended;
  expect(server.seen).toHaveLength(1);
  expect(server.seen[0]).toMatchObject({
    host: `reg.test:${server.port}`,
    path: "/v2/a%2Bb/?x=%20y",
  });
  const headers = server.seen[0]?.headers;
  expect(headers?.get("accept-encoding")).toBe("identity");
  expect(headers?.get("user-agent")).toBe("entrepot");
  expect(headers?.get("accept")).toBe("a/b");
  expect(headers?.has("authorization")).toBe(false);
});

test("a private address is refused before anything connects", async () => {
  using server = await serveRaw((socket) => socket.end());
  const url = `http://127.0.0.1:${server.port}/`;
  const fault = await faultOf(dialer().dial(request(url, { allowPrivate: false })));
  expect(fault).toMatchObject({ kind: "address-refused", host: "127.0.0.1" });
  expect(server.connections()).toBe(0);
});

test("a name is looked up once for a request, and again only where nothing answered", async () => {
  using server = serve(() => new Response("ok"));
  const asked: (boolean | undefined)[] = [];
  let where = "127.0.0.1";
  const resolver: Resolver = async (_, afresh) => {
    asked.push(afresh);
    return [afresh ? "127.0.0.1" : where];
  };
  const url = `http://reg.test:${server.port}/`;
  const subject = dialer({ resolver });
  expect(await readText((await subject.dial(request(url))).body)).toBe("ok");
  expect(asked).toEqual([undefined]);
  where = "127.0.0.2";
  expect(await readText((await subject.dial(request(url))).body)).toBe("ok");
  expect(asked).toEqual([undefined, undefined, true]);
});

test("what is inside when it is looked up again is refused, and the road is told where DNS is silent", async () => {
  using server = await serveRaw((socket) => socket.end());
  const url = `http://reg.test:${server.port}/`;
  const subject = dialer({
    resolver: async (_, afresh) => [afresh ? "169.254.169.254" : "127.0.0.2"],
  });
  const led = request(url, { ledFrom: "reg.test" });
  expect(await faultOf(subject.dial(led))).toMatchObject({ kind: "address-refused" });
  const silent = dialer({
    resolver: async (_, afresh) => (afresh ? Promise.reject(new Error("away")) : ["127.0.0.2"]),
  });
  const fault = await faultOf(silent.dial(request(url)));
  expect(fault).toMatchObject({ reason: expect.stringContaining("refuses connections") });
  expect(server.connections()).toBe(0);
});

test("where one address refuses, the next is tried, and is first from then on", async () => {
  using server = serve(() => new Response("ok"));
  const subject = dialer({ resolver: async () => ["::1", "127.0.0.2", "127.0.0.1"] });
  for (let i = 0; i < 3; i += 1) {
    const answer = await subject.dial(request(`http://reg.test:${server.port}/`));
    expect(await readText(answer.body)).toBe("ok");
  }
});

test.each([
  ["a short body", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello"],
  [
    "an unfinished chunked body",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
  ],
])("%s is a fault", async (_, bytes) => {
  using server = await serveRaw((socket) => socket.end(bytes));
  const answer = await dialer().dial(request(`http://reg.test:${server.port}/`));
  expect((await faultOf(read(answer.body))).kind).toBe("upstream-unreachable");
  await answer.ended;
});

test.each([
  ["nothing", "", "upstream-unreachable"],
  ["another protocol", "SSH-2.0-x\r\n", "upstream-unreachable"],
  [
    "two lengths",
    "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxy",
    "upstream-invalid-response",
  ],
  [
    "a mebibyte of headers",
    `HTTP/1.1 200 OK\r\nx: ${"y".repeat(1 << 20)}\r\n\r\n`,
    "upstream-invalid-response",
  ],
  [
    "5,000 headers",
    `HTTP/1.1 200 OK\r\n${"x: y\r\n".repeat(5000)}\r\n`,
    "upstream-invalid-response",
  ],
  [
    "gzip",
    "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 1\r\n\r\nx",
    "upstream-invalid-response",
  ],
])("%s is no answer", async (_, bytes, kind) => {
  using server = await serveRaw((socket) => socket.end(bytes));
  const fault = await faultOf(dialer().dial(request(`http://reg.test:${server.port}/`)));
  expect(fault.kind).toBe(kind as "upstream-invalid-response"); // The table's third column.
});

test("a port where nothing listens", async () => {
  const port = await (async () => {
    using server = await serveRaw(() => undefined);
    return server.port;
  })();
  const fault = await faultOf(dialer().dial(request(`http://reg.test:${port}/`)));
  expect(fault).toMatchObject({ reason: `reg.test:${port} refuses connections` });
});

test("a caller that gives up ends the request with its reason, in headers and in the body", async () => {
  using silent = await serveRaw(() => undefined);
  using slow = await serveRaw((socket) =>
    socket.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello"),
  );
  const subject = dialer();
  const first = new AbortController();
  const waiting = subject.dial(request(`http://a.test:${silent.port}/`, { signal: first.signal }));
  await until(() => silent.connections() > 0, { what: "the request" });
  first.abort(new Error("gone"));
  expect(await rejection(waiting)).toMatchObject({ message: "gone" });
  const second = new AbortController();
  const answer = await subject.dial(
    request(`http://b.test:${slow.port}/`, { signal: second.signal }),
  );
  const reading = read(answer.body);
  second.abort(new Error("left"));
  expect(await rejection(reading)).toMatchObject({ message: "left" });
  await answer.ended;
  await until(() => silent.open() + slow.open() === 0, { what: "the connections to close" });
  const late = subject.dial(request("http://c.test/", { signal: second.signal }));
  expect(await rejection(late)).toMatchObject({ message: "left" });
});

test("an abort closes the connection while nobody reads, and so does a cancel", async () => {
  using server = await serveRaw((socket) =>
    socket.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello"),
  );
  const controller = new AbortController();
  const url = `http://reg.test:${server.port}/`;
  const subject = dialer();
  const aborted = await subject.dial(request(url, { signal: controller.signal }));
  controller.abort(new Error("gone"));
  await aborted.ended;
  const cancelled = await subject.dial(request(url));
  await cancelled.body?.cancel();
  await cancelled.ended;
  await until(() => server.open() === 0, { what: "the connections to close" });
});

test("a small body is capped, in bytes and in time", async () => {
  using big = serve(() => new Response("x".repeat(1001)));
  const cap = { upstream: "reg.test", what: "a token", limit: 1000, deadline: 5000 };
  const answer = await dialer().dial(request(`http://reg.test:${big.port}/`));
  expect(await faultOf(readSmall(answer.body, cap))).toMatchObject({
    kind: "upstream-invalid-response",
  });
  await answer.ended;
  using dripping = await serveRaw((socket) => {
    socket.write("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n");
    const drip = setInterval(() => socket.writable && socket.write("x"), 20);
    socket.on("close", () => clearInterval(drip));
  });
  const late = await dialer().dial(request(`http://reg.test:${dripping.port}/`));
  const short = { ...cap, deadline: 100 };
  expect(await faultOf(readSmall(late.body, short))).toMatchObject({ kind: "upstream-timeout" });
  await late.ended;
});

test("what happens is told", async () => {
  using server = serve(() => new Response("hello"));
  const events: UpstreamEvent[] = [];
  const subject = dialer({ observe: (event) => events.push(event) });
  await readText((await subject.dial(request(`http://reg.test:${server.port}/`))).body);
  await faultOf(subject.dial(request("http://127.0.0.1:1/", { allowPrivate: false })));
  const about = { upstream: "reg.test", request: "manifest" } as const;
  expect(events).toEqual([
    { type: "answered", ...about, method: "GET", status: 200, milliseconds: expect.any(Number) },
    { type: "received", ...about, bytes: 5 },
    { type: "failed", ...about, fault: "address-refused" },
  ]);
});

test("TLS is checked for the name, not for the address", async () => {
  const tls = await certificate("reg.test", "also.test");
  using server = serve((seen) => new Response(seen.host), tls);
  const subject = dialer({ ca: tls.cert });
  const good = await subject.dial(request(`https://reg.test:${server.port}/`));
  expect(await readText(good.body)).toBe(`reg.test:${server.port}`);
  // The connection for the good name is open; another name on the same address must not use it.
  expect(await faultOf(subject.dial(request(`https://other.test:${server.port}/`)))).toMatchObject({
    kind: "upstream-unreachable",
    reason: `other.test:${server.port} shows a certificate for another name`,
  });
  const also = await subject.dial(request(`https://also.test:${server.port}/`));
  expect(await readText(also.body)).toBe(`also.test:${server.port}`);
});

test("an authority that is not known, and a port without TLS", async () => {
  const tls = await certificate("reg.test");
  using server = serve(() => new Response(""), tls);
  using plain = serve(() => new Response(""));
  const subject = dialer();
  const unknown = await faultOf(subject.dial(request(`https://reg.test:${server.port}/`)));
  expect(JSON.stringify(unknown)).toContain("not trusted here");
  const none = await faultOf(subject.dial(request(`https://reg.test:${plain.port}/`)));
  expect(JSON.stringify(none)).toContain("does not speak TLS");
});
