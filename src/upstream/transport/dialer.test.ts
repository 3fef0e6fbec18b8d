import { describe, expect, test } from "bun:test";
import { until } from "../../../test/harness/waiting.ts";
import type { Resolver } from "./address.ts";
import { readBody } from "./response-body.ts";
import type { UpstreamEvent } from "../observer.ts";
import * as dialing from "../upstreamtest/dialing.ts";
import { certificate, faultOf, rejection, serve, serveRaw } from "../upstreamtest/test-servers.ts";

const { dialer, readBytes, readText } = dialing;

// Blobs come over connections of our own, everything else over those of `fetch`.
describe.each(["manifest", "blob"] as const)("for a %s", (kind) => {
  const request: typeof dialing.request = (url, overrides) =>
    dialing.request(url, { kind, ...overrides });

  test("a request goes to the checked address with the name as Host, asks for identity and follows no redirect", async () => {
    using server = serve(() => new Response("hello", { status: 302, headers: { location: "/x" } }));
    const url = `http://user:secret@reg.test:${server.port}/v2/a%2Bb/?x=%20y#part`;
    const response = await dialer().dial(
      request(url, { headers: { accept: "a/b", host: "evil" } }),
    );
    expect(response.status).toBe(302);
    expect(await readText(response.body)).toBe("hello");
    await response.ended;
    expect(server.requests).toHaveLength(1);
    expect(server.requests[0]).toMatchObject({
      host: `reg.test:${server.port}`,
      path: "/v2/a%2Bb/?x=%20y",
    });
    const headers = server.requests[0]?.headers;
    expect(headers?.get("accept-encoding")).toBe("identity");
    expect(headers?.get("user-agent")).toBe("entrepot");
    expect(headers?.get("accept")).toBe("a/b");
    expect(headers?.has("authorization")).toBe(false);
  });

  test("a private address is refused before a connection is made", async () => {
    using server = await serveRaw((socket) => socket.end());
    const url = `http://127.0.0.1:${server.port}/`;
    const fault = await faultOf(dialer().dial(request(url, { allowPrivate: false })));
    expect(fault).toMatchObject({ kind: "address-refused", host: "127.0.0.1" });
    expect(server.connections()).toBe(0);
  });

  test("a name is resolved once per request, and refreshed only where no address responded", async () => {
    using server = serve(() => new Response("ok"));
    const lookups: (boolean | undefined)[] = [];
    let cachedAddress = "127.0.0.1";
    const resolver: Resolver = async (_, refresh) => {
      lookups.push(refresh);
      return [refresh ? "127.0.0.1" : cachedAddress];
    };
    const url = `http://reg.test:${server.port}/`;
    const subject = dialer({ resolver });
    expect(await readText((await subject.dial(request(url))).body)).toBe("ok");
    expect(lookups).toEqual([undefined]);
    cachedAddress = "127.0.0.2";
    expect(await readText((await subject.dial(request(url))).body)).toBe("ok");
    expect(lookups).toEqual([undefined, undefined, true]);
  });

  test("a refreshed lookup is checked again, and one that fails keeps the connection's own fault", async () => {
    using server = await serveRaw((socket) => socket.end());
    const url = `http://reg.test:${server.port}/`;
    const subject = dialer({
      resolver: async (_, refresh) => [refresh ? "169.254.169.254" : "127.0.0.2"],
    });
    const redirected = request(url, { redirectedFrom: "reg.test" });
    expect(await faultOf(subject.dial(redirected))).toMatchObject({ kind: "address-refused" });
    const withoutDns = dialer({
      resolver: async (_, refresh) => (refresh ? Promise.reject(new Error("down")) : ["127.0.0.2"]),
    });
    const fault = await faultOf(withoutDns.dial(request(url)));
    expect(fault).toMatchObject({ reason: expect.stringContaining("refuses connections") });
    expect(server.connections()).toBe(0);
  });

  test("a host with one address is sent its requests without a probe before them", async () => {
    using server = await serveRaw((socket) => {
      const respond = (): void =>
        void socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
      respond();
      socket.on("data", respond);
    });
    const subject = dialer();
    for (let i = 0; i < 2; i += 1) {
      const response = await subject.dial(request(`http://reg.test:${server.port}/`));
      expect(await readText(response.body)).toBe("ok");
      await response.ended;
    }
    expect(server.connections()).toBe(1);
  });

  test("where one address refuses connections, the next one is used", async () => {
    using server = serve(() => new Response("ok"));
    const subject = dialer({ resolver: async () => ["::1", "127.0.0.2", "127.0.0.1"] });
    for (let i = 0; i < 3; i += 1) {
      const response = await subject.dial(request(`http://reg.test:${server.port}/`));
      expect(await readText(response.body)).toBe("ok");
    }
  });

  test.each([
    ["a short body", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello"],
    [
      "an unfinished chunked body",
      "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ],
  ])("%s fails the body", async (_, bytes) => {
    using server = await serveRaw((socket) => socket.end(bytes));
    const response = await dialer().dial(request(`http://reg.test:${server.port}/`));
    expect((await faultOf(readBytes(response.body))).kind).toBe("upstream-unreachable");
    await response.ended;
  });

  test.each([
    ["no bytes", "", "upstream-unreachable"],
    [
      "another protocol",
      "SSH-2.0-x\r\n",
      kind === "blob" ? "upstream-invalid-response" : "upstream-unreachable",
    ],
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
  ])("a response of %s is a fault", async (_, bytes, expected) => {
    using server = await serveRaw((socket) => socket.end(bytes));
    const fault = await faultOf(dialer().dial(request(`http://reg.test:${server.port}/`)));
    expect(fault.kind).toBe(expected as "upstream-invalid-response"); // The table's third column.
  });

  test.each(["gzip", "identity", "aws-chunked", "br", "deflate", "zstd", "x"])(
    "a body with Content-Encoding %s is passed on as it was sent, plain or compressed",
    async (encoding) => {
      for (const bytes of [
        Buffer.from("hello"),
        Bun.gzipSync("hello"),
        Bun.zstdCompressSync("hello"),
      ]) {
        for (const proxied of [false, true]) {
          using server = serve(
            () => new Response(bytes.slice(), { headers: { "content-encoding": encoding } }),
          );
          // A plain server is its own proxy: it is sent the same request with an absolute URL.
          const proxy = {
            http: new URL(`http://127.0.0.1:${server.port}`),
            except: [],
            from: "HTTP_PROXY",
          };
          const url = `http://reg.test:${server.port}/`;
          const response = await dialer().dial(request(url, proxied ? { proxy } : {}));
          expect(Buffer.from(await readBytes(response.body)).equals(bytes)).toBe(true);
        }
      }
    },
  );

  test("a port on which nothing listens is reported as refusing connections", async () => {
    const port = await (async () => {
      using server = await serveRaw(() => undefined);
      return server.port;
    })();
    const fault = await faultOf(dialer().dial(request(`http://reg.test:${port}/`)));
    expect(fault).toMatchObject({ reason: `reg.test:${port} refuses connections` });
  });

  test("an aborted caller gets its own reason, before the headers and during the body", async () => {
    using silent = await serveRaw(() => undefined);
    using slow = await serveRaw((socket) =>
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello"),
    );
    const subject = dialer();
    const first = new AbortController();
    const waiting = subject.dial(
      request(`http://a.test:${silent.port}/`, { signal: first.signal }),
    );
    await until(() => silent.connections() > 0, { what: "the request" });
    first.abort(new Error("gone"));
    expect(await rejection(waiting)).toMatchObject({ message: "gone" });
    const second = new AbortController();
    const response = await subject.dial(
      request(`http://b.test:${slow.port}/`, { signal: second.signal }),
    );
    const reading = readBytes(response.body);
    second.abort(new Error("left"));
    expect(await rejection(reading)).toMatchObject({ message: "left" });
    await response.ended;
    await until(() => silent.open() + slow.open() === 0, { what: "the connections to close" });
    const aborted = subject.dial(request("http://c.test/", { signal: second.signal }));
    expect(await rejection(aborted)).toMatchObject({ message: "left" });
  });

  test("an abort closes the connection even while nothing reads, and so does a cancel", async () => {
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

  test("a body read into memory is limited in bytes and in time", async () => {
    using big = serve(() => new Response("x".repeat(1001)));
    const options = { upstream: "reg.test", what: "a token", limit: 1000, timeout: 5000 };
    const response = await dialer().dial(request(`http://reg.test:${big.port}/`));
    expect(await faultOf(readBody(response.body, options))).toMatchObject({
      kind: "upstream-invalid-response",
    });
    await response.ended;
    using trickling = await serveRaw((socket) => {
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n");
      const trickle = setInterval(() => socket.writable && socket.write("x"), 20);
      socket.on("close", () => clearInterval(trickle));
    });
    const slow = await dialer().dial(request(`http://reg.test:${trickling.port}/`));
    const short = { ...options, timeout: 100 };
    expect(await faultOf(readBody(slow.body, short))).toMatchObject({ kind: "upstream-timeout" });
    await slow.ended;
  });

  test("responses, received bytes and faults are reported to the observer", async () => {
    using server = serve(() => new Response("hello"));
    const events: UpstreamEvent[] = [];
    const subject = dialer({ observe: (event) => events.push(event) });
    await readText((await subject.dial(request(`http://reg.test:${server.port}/`))).body);
    await faultOf(subject.dial(request("http://127.0.0.1:1/", { allowPrivate: false })));
    const labels = { upstream: "reg.test", kind } as const;
    expect(events).toEqual([
      {
        type: "responded",
        ...labels,
        method: "GET",
        status: 200,
        milliseconds: expect.any(Number),
      },
      { type: "received", ...labels, bytes: 5 },
      { type: "failed", ...labels, fault: "address-refused" },
    ]);
  });

  test("a certificate is verified for the name, not for the address", async () => {
    const tls = await certificate("reg.test", "also.test");
    using server = serve(({ host }) => new Response(host), tls);
    const subject = dialer({ ca: tls.cert });
    const good = await subject.dial(request(`https://reg.test:${server.port}/`));
    expect(await readText(good.body)).toBe(`reg.test:${server.port}`);
    // The connection for the first name is idle. Another name at the same address must not reuse it.
    expect(
      await faultOf(subject.dial(request(`https://other.test:${server.port}/`))),
    ).toMatchObject({
      kind: "upstream-unreachable",
      reason: `other.test:${server.port} presents a certificate for another name`,
    });
    const also = await subject.dial(request(`https://also.test:${server.port}/`));
    expect(await readText(also.body)).toBe(`also.test:${server.port}`);
  });

  test("an untrusted CA and a port without TLS are reported as such", async () => {
    const tls = await certificate("reg.test");
    using server = serve(() => new Response(""), tls);
    using plain = serve(() => new Response(""));
    const subject = dialer();
    const untrusted = await faultOf(subject.dial(request(`https://reg.test:${server.port}/`)));
    expect(JSON.stringify(untrusted)).toContain("not trusted here");
    const withoutTls = await faultOf(subject.dial(request(`https://reg.test:${plain.port}/`)));
    expect(JSON.stringify(withoutTls)).toContain("does not speak TLS");
  });
});
