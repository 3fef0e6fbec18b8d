import { describe, expect, test } from "bun:test";
import { until } from "../../../test/harness/waiting.ts";
import { ByteBudget } from "../../process/byte-budget.ts";
import { ConnectionsLost } from "../http1/downloads.ts";
import type { BodyReader, GetRequest } from "../http1/get.ts";
import { certificate, rejection, serve, serveRaw } from "../upstreamtest/test-servers.ts";
import { DownloadThread, startWorker } from "./download-thread.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const HELLO = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

/** A thread that can be ended from outside, and how often one was started. */
function threads(limit = 4 * MIB) {
  const workers: Worker[] = [];
  const start = (): Worker => {
    const worker = startWorker();
    workers.push(worker);
    return worker;
  };
  const thread = new DownloadThread({ limit, budget: new ByteBudget(limit), start });
  return {
    workers,
    thread,
    client(port: number, { tls, ...rest }: Partial<GetRequest> & { tls?: Bun.TLSOptions } = {}) {
      const downloads = thread.downloads(tls);
      const request = {
        endpoint: { ip: "127.0.0.1", port, host: "127.0.0.1" },
        headers: { host: "reg.test" },
        signal: new AbortController().signal,
        ...rest,
      };
      return (path = "/") =>
        downloads.get({ ...request, url: new URL(`http://127.0.0.1:${port}${path}`) });
    },
    [Symbol.dispose]: () => thread[Symbol.dispose](),
  };
}

async function hashOf(body: BodyReader): Promise<string> {
  const hasher = new Bun.CryptoHasher("sha256");
  for (;;) {
    const next = await body.read();
    if (next.done) return hasher.digest("hex");
    hasher.update(next.value);
  }
}

async function textOf(body: BodyReader): Promise<string> {
  const chunks: Uint8Array[] = [];
  for (;;) {
    const next = await body.read();
    if (next.done) return Buffer.concat(chunks).toString();
    chunks.push(next.value);
  }
}

function random(bytes: number): Uint8Array<ArrayBuffer> {
  const part = crypto.getRandomValues(new Uint8Array(64 * KIB));
  return new Uint8Array(Buffer.concat(Array.from({ length: bytes / part.length }, () => part)));
}

/** Sends the head and the first bytes of a body, and never the rest. */
function serveHalf(bytes: number) {
  return serveRaw((socket) => {
    socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${2 * bytes}\r\n\r\n`);
    socket.write(new Uint8Array(bytes).fill(1));
  });
}

describe("a download by the thread", () => {
  test.each([false, true])("has every byte, over TLS too; lent: %p", async (lends) => {
    const tls = await certificate("reg.test");
    const whole = random(16 * MIB);
    using server = serve(() => new Response(whole, { headers: { "x-a": "b" } }), tls);
    using subject = threads();
    const endpoint = { ip: "127.0.0.1", port: server.port, host: "reg.test" };
    const trusted = { serverName: "reg.test", ca: [tls.cert] };
    const { status, headers, body } = await subject.client(server.port, {
      endpoint,
      lends,
      tls: trusted,
    })();
    expect([status, headers.get("x-a")]).toEqual([200, "b"]);
    expect(await hashOf(body)).toBe(Bun.SHA256.hash(whole, "hex"));
    expect(subject.workers).toHaveLength(1);
  });

  test("leaves its connection for the next one, and closes it with the pool", async () => {
    using server = await serveRaw((socket) => {
      socket.write(HELLO);
      socket.on("data", () => socket.write(HELLO));
    });
    using subject = threads();
    const send = subject.client(server.port);
    expect(await textOf((await send()).body)).toBe("hello");
    await (await send()).body.cancel();
    expect(await textOf((await send()).body)).toBe("hello");
    expect(server.connections()).toBe(1);
  });

  test("fails as one by this thread does", async () => {
    using closed = await serveRaw((socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-le"));
    using strange = await serveRaw((socket) => socket.end("SSH-2.0-OpenSSH\r\n"));
    const tls = await certificate("other.test");
    using other = serve(() => new Response("hello"), tls);
    using subject = threads();
    const codes = [
      subject.client(closed.port)(),
      subject.client(strange.port)(),
      subject.client(1)(),
      subject.client(other.port, { tls: { serverName: "reg.test" } })(),
    ].map(async (response) => rejection(response));
    expect(await Promise.all(codes)).toMatchObject([
      { code: "ECONNRESET" },
      { code: "InvalidHTTPResponse" },
      { code: "ECONNREFUSED" },
      { code: "DEPTH_ZERO_SELF_SIGNED_CERT" },
    ]);
  });

  test("ends with the reason of its signal, before and after its head", async () => {
    using silent = await serveRaw(() => {});
    using half = await serveHalf(100 * KIB);
    using subject = threads();
    const abort = new AbortController();
    const early = rejection(subject.client(silent.port, { signal: abort.signal })());
    const { body } = await subject.client(half.port, { signal: abort.signal })();
    await body.read();
    await until(() => silent.open() === 1, { what: "the connection" });
    const reading = rejection(readOn(body));
    abort.abort(new Error("enough"));
    expect(await Promise.all([early, reading])).toMatchObject([
      { message: "enough" },
      { message: "enough" },
    ]);
    expect(await rejection(body.read())).toMatchObject({ message: "enough" });
    await until(() => silent.open() + half.open() === 0, { what: "the connections to close" });
  });

  test("does not change lent bytes before they are given back, not even after an abort", async () => {
    const whole = random(MIB).map((byte) => byte | 1);
    using server = serve(({ path }) => new Response(path === "/a" ? whole : new Uint8Array(MIB)));
    using subject = threads(256 * KIB);
    const abort = new AbortController();
    const lent = subject.client(server.port, { lends: true, signal: abort.signal });
    const { body } = await lent("/a");
    const first = await body.read();
    if (first.done) throw new Error("no bytes");
    abort.abort();
    const others = subject.client(server.port, { lends: true });
    for (let round = 0; round < 3; round += 1) await hashOf((await others("/b")).body);
    expect(first.value.includes(0)).toBe(false);
  });

  test("waits while others hold what may be received, and says for how long", async () => {
    const whole = random(MIB);
    using server = serve(() => new Response(whole));
    using subject = threads(256 * KIB);
    const send = subject.client(server.port, { lends: true });
    const bodies = await Promise.all(Array.from({ length: 4 }, async () => (await send()).body));
    const [waiting, ...greedy] = bodies;
    if (!waiting) throw new Error("no body");
    // Each keeps what it has read last.
    const held = new Set<BodyReader>();
    for (const body of greedy) void body.read().then(() => held.add(body));
    await until(() => held.size >= 2, { what: "two readers to have bytes" });
    const reading = hashOf(waiting);
    await until(() => (waiting.heldBack ?? 0) > 0, { what: "a reader to be held back" });
    for (const body of greedy) await body.cancel();
    expect(await reading).toBe(Bun.SHA256.hash(whole, "hex"));
  });
});

describe("a thread that ends", () => {
  test("breaks its downloads, and is started again", async () => {
    using half = await serveHalf(100 * KIB);
    using server = serve(() => new Response("hello"));
    using subject = threads();
    const { body } = await subject.client(half.port)();
    const reading = rejection(readOn(body));
    subject.workers[0]?.terminate();
    expect(await reading).toBeInstanceOf(ConnectionsLost);
    const send = subject.client(server.port);
    expect(await textOf((await send()).body)).toBe("hello");
    expect(subject.workers).toHaveLength(2);
  });

  test("has its requests sent again", async () => {
    let requests = 0;
    using server = await serveRaw((socket) => {
      requests += 1;
      if (requests > 1) socket.end(HELLO);
    });
    using subject = threads();
    const response = subject.client(server.port)();
    await until(() => requests === 1, { what: "the request" });
    subject.workers[0]?.terminate();
    expect(await textOf((await response).body)).toBe("hello");
  });

  test("again and again is given up: then this thread downloads", async () => {
    using server = serve(() => new Response("hello"));
    using subject = threads();
    const send = subject.client(server.port);
    for (let lost = 0; lost < 5; lost += 1) {
      expect(await textOf((await send()).body)).toBe("hello");
      const worker = subject.workers[lost];
      if (!worker) break;
      const ended = Promise.withResolvers<void>();
      worker.addEventListener("close", () => ended.resolve());
      worker.terminate();
      await ended.promise;
    }
    expect(subject.workers).toHaveLength(3);
    expect(await textOf((await send()).body)).toBe("hello");
  });

  test.each([
    ["cannot be started", "throw new Error('no memory')"],
    ["does not get to start", "for (;;);"],
  ])("and one that %s, are done without", async (_, program) => {
    using server = serve(() => new Response("hello"));
    using thread = new DownloadThread({
      limit: MIB,
      budget: new ByteBudget(MIB),
      start: () => new Worker(`data:text/javascript,${program}`),
    });
    const { body } = await thread.downloads(undefined).get({
      endpoint: { ip: "127.0.0.1", port: server.port, host: "127.0.0.1" },
      headers: { host: "reg.test" },
      signal: new AbortController().signal,
      url: new URL(`http://127.0.0.1:${server.port}/`),
    });
    expect(await textOf(body)).toBe("hello");
  });
});

/** Reads until it fails. */
async function readOn(body: BodyReader): Promise<void> {
  while (!(await body.read()).done);
}

test("the main thread learns how many bytes the other one holds", async () => {
  using all = threads();
  const bytes = random(MIB);
  using server = serve(() => new Response(bytes));
  const { body } = await all.client(server.port, { lends: true })();
  await body.read();
  await until(() => all.thread.held > 0, { what: "bytes to be held" });
  await body.cancel();
  await until(() => all.thread.held === 0, { what: "the bytes to be freed" });
});
