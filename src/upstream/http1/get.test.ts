import { describe, expect, test } from "bun:test";
import type { Socket } from "node:net";
import { until } from "../../../test/harness/waiting.ts";
import { ByteBudget } from "../../process/byte-budget.ts";
import { certificate, rejection, serve, serveRaw } from "../upstreamtest/test-servers.ts";
import { LocalDownloads } from "./downloads.ts";
import type { BodyReader, GetRequest } from "./get.ts";

const MIB = 1024 * 1024;

interface ClientOptions extends Partial<GetRequest> {
  readonly budget?: ByteBudget;
  readonly tls?: Bun.TLSOptions;
}

function client(
  port: number,
  { budget = new ByteBudget(8 * MIB), tls, ...rest }: ClientOptions = {},
) {
  const shared = {
    endpoint: { ip: "127.0.0.1", port, host: "127.0.0.1" },
    headers: { host: "reg.test" },
    signal: new AbortController().signal,
  };
  const downloads = new LocalDownloads(budget, tls);
  return (path = "/") =>
    downloads.get({ ...shared, ...rest, url: new URL(`http://127.0.0.1:${port}${path}`) });
}

async function readAll(body: BodyReader): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for (;;) {
    const next = await body.read();
    if (next.done) return Buffer.concat(chunks);
    chunks.push(next.value);
  }
}

/** Reads until more has arrived than was read. */
async function readUntilAhead(body: BodyReader, budget: ByteBudget): Promise<void> {
  const before = budget.held;
  do await Bun.sleep(1);
  while (!(await body.read()).done && budget.held <= before);
}

const HELLO = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

describe("a connection", () => {
  test("is used again after a body was read, or was not wanted although it was there", async () => {
    using server = await serveRaw((socket) => {
      socket.write(HELLO);
      socket.on("data", () => socket.write(HELLO.replace("hello", "again")));
    });
    const send = client(server.port);
    expect((await readAll((await send()).body)).toString()).toBe("hello");
    await (await send()).body.cancel();
    expect((await readAll((await send()).body)).toString()).toBe("again");
    expect(server.connections()).toBe(1);
  });

  test("that its server closes as a request is sent is replaced by a new one", async () => {
    using server = await serveRaw((socket) => {
      socket.write(HELLO);
      socket.on("data", () => socket.end());
    });
    const send = client(server.port);
    for (const connections of [1, 2, 3]) {
      expect((await readAll((await send()).body)).toString()).toBe("hello");
      expect(server.connections()).toBe(connections);
    }
  });

  test.each([
    ["bytes behind the body", `${HELLO}more`],
    ["Connection: close", HELLO.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n")],
    ["HTTP/1.0", HELLO.replace("1.1", "1.0")],
  ])("is not used again after %s", async (_, response) => {
    using server = await serveRaw((socket) => socket.write(response));
    const send = client(server.port);
    for (const connections of [1, 2]) {
      expect((await readAll((await send()).body)).toString()).toBe("hello");
      expect(server.connections()).toBe(connections);
    }
  });

  test("on which a server sends something unasked is closed", async () => {
    let socket: Socket | undefined;
    using server = await serveRaw((accepted) => {
      socket = accepted;
      accepted.write(HELLO);
    });
    const send = client(server.port);
    await readAll((await send()).body);
    socket?.write("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil");
    await until(() => server.open() === 0, { what: "the connection to be closed" });
    expect((await readAll((await send()).body)).toString()).toBe("hello");
  });

  test("refuses a header with a line break", async () => {
    using server = await serveRaw((socket) => socket.end(HELLO));
    const send = client(server.port, { headers: { authorization: "Bearer a\r\nevil: b" } });
    expect(send()).rejects.toThrow();
  });
});

describe("a reader that stops reading", () => {
  const sent = { bytes: 0 };
  /** Writes as fast as the client reads, and counts what the kernel has taken. */
  function pour(socket: Socket, size: number): void {
    const chunk = Buffer.alloc(64 * 1024, 7);
    let left = size;
    const write = (): void => {
      while (left > 0) {
        left -= chunk.byteLength;
        sent.bytes += chunk.byteLength;
        if (!socket.write(chunk)) {
          socket.once("drain", write);
          return;
        }
      }
      socket.end();
    };
    socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${size}\r\n\r\n`);
    write();
  }

  test("receives nothing more, and everything later, although the server has gone", async () => {
    const size = 256 * MIB;
    using server = await serveRaw((socket) => pour(socket, size));
    const { body } = await client(server.port)();
    let received = 0;
    for (let reads = 0; reads < 3; reads += 1) {
      const next = await body.read();
      if (!next.done) received += next.value.byteLength;
    }
    let before = -1;
    await until(
      async () => {
        if (sent.bytes === before) return true;
        before = sent.bytes;
        await Bun.sleep(50);
        return false;
      },
      { what: "the server to be held up" },
    );
    expect(sent.bytes).toBeLessThan(size / 2);
    for (;;) {
      const next = await body.read();
      if (next.done) break;
      received += next.value.byteLength;
    }
    expect(received).toBe(size);
  });

  test("stops nobody else, although what it has received fills the budget", async () => {
    const budget = new ByteBudget(MIB);
    using server = serve(() => new Response(new Uint8Array(8 * MIB)));
    const send = client(server.port, { budget });
    const bodies: BodyReader[] = [];
    while (budget.held < MIB && bodies.length < 64) {
      const { body } = await send();
      bodies.push(body);
      await readUntilAhead(body, budget);
    }
    const { body } = await send();
    expect(await readAll(body)).toHaveLength(8 * MIB);
    for (const one of bodies) await one.cancel();
    expect(budget.held).toBe(0);
  });

  test("is not stopped by others, unless all together hold too much", async () => {
    const budget = new ByteBudget(MIB);
    using server = serve(() => new Response(new Uint8Array(8 * MIB)));
    const send = client(server.port, { budget });
    const bodies = await Promise.all(Array.from({ length: 8 }, async () => (await send()).body));
    const release = budget.hold(MIB);
    const [first] = bodies;
    // What came together with the head was received before.
    await first?.read();
    const waiting = first?.read();
    await until(() => (first?.heldBack ?? 0) > 0, { what: "the reader to be held back" });
    expect(budget.held).toBe(MIB);
    release();
    expect((await waiting)?.done).toBe(false);
    const rest = await Promise.all(bodies.slice(1).map(readAll));
    expect(rest.map((bytes) => bytes.byteLength)).toEqual(Array.from({ length: 7 }, () => 8 * MIB));
    await first?.cancel();
    expect(budget.held).toBe(0);
  });
});

test("what came with the end of a connection takes no budget once its body is given up", async () => {
  const tls = await certificate("reg.test");
  const response = Buffer.concat([Buffer.from("HTTP/1.1 200 OK\r\n\r\n"), Buffer.alloc(MIB)]);
  using server = await serveRaw((socket) => socket.end(response), tls);
  const budget = new ByteBudget(8 * MIB);
  const endpoint = { ip: "127.0.0.1", port: server.port, host: "reg.test" };
  const secured = { serverName: "reg.test", ca: [tls.cert] };
  const send = client(server.port, { endpoint, budget, tls: secured });
  // With TLS, the end is received together with the bytes before it.
  for (let unread = 0; unread === 0;) {
    const { body } = await send();
    while (server.open() > 0 && !(await body.read()).done) await Bun.sleep(1);
    unread = budget.held;
    await body.cancel();
    expect(budget.held).toBe(0);
  }
});

test("what arrived before its connection was reset is handed on", async () => {
  const response = HELLO.replace("5", String(4 * MIB)).replace("hello", "x".repeat(2 * MIB));
  let socket: Socket | undefined;
  using server = await serveRaw((accepted) => {
    socket = accepted;
    accepted.write(response);
  });
  const budget = new ByteBudget(8 * MIB);
  const { body } = await client(server.port, { budget })();
  await readUntilAhead(body, budget);
  socket?.resetAndDestroy();
  await until(() => server.open() === 0, { what: "the reset" });
  expect((await body.read()).done).toBe(false);
  expect(await rejection(readAll(body))).toMatchObject({ code: "ECONNRESET" });
  expect(budget.held).toBe(0);
});

test("a large body over TLS is received whole, in pieces", async () => {
  const tls = await certificate("reg.test");
  const content = crypto.getRandomValues(new Uint8Array(65_536));
  const whole = Buffer.concat(Array.from({ length: 320 }, () => content));
  using server = serve(() => new Response(whole), tls);
  const endpoint = { ip: "127.0.0.1", port: server.port, host: "reg.test" };
  const secured = { ...endpoint, tls: { serverName: "reg.test", ca: [tls.cert] } };
  const { body } = await client(server.port, { endpoint: secured })();
  expect(Bun.SHA256.hash(await readAll(body), "hex")).toBe(Bun.SHA256.hash(whole, "hex"));
});
