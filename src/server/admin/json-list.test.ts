import { expect, test } from "bun:test";
import { createConnection, type Socket } from "node:net";
import { once } from "node:events";
import { jsonList, type JsonListOptions } from "./json-list.ts";

const MIB = 1024 * 1024;
const ITEM = "x".repeat(64 * 1024);

interface Served extends AsyncDisposable {
  readonly server: Bun.Server<undefined>;
  /** What became of the response. */
  readonly events: string[];
  readonly ended: Promise<void>;
  made(): number;
}

/** Serves an endless list. */
function serveList(options: JsonListOptions): Served {
  const events: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  let made = 0;
  async function* items(): AsyncGenerator<string> {
    try {
      for (;;) {
        made += ITEM.length;
        yield ITEM;
      }
    } finally {
      events.push("list ended");
    }
  }
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    fetch: () =>
      jsonList("items", items(), {
        ...options,
        last: async () => {
          events.push("last");
          return {};
        },
        ended: () => {
          events.push("ended");
          resolve();
        },
      }),
    error: () => new Response(undefined, { status: 500 }),
  });
  return {
    server,
    events,
    ended: promise,
    made: () => made,
    [Symbol.asyncDispose]: () => server.stop(true),
  };
}

/** Sends a request, and reads nothing but the first piece. */
async function request(server: Bun.Server<undefined>): Promise<Socket> {
  const socket = createConnection({ host: "127.0.0.1", port: server.port ?? 0 });
  socket.on("error", () => {});
  socket.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  await once(socket, "data");
  socket.pause();
  return socket;
}

test("a client that stops reading ends the list, which was made no faster than it was read", async () => {
  await using served = serveList({ maxStall: 100 });
  const socket = await request(served.server);
  await served.ended;
  // The buffers of both sockets take a few mebibytes.
  expect(served.made()).toBeLessThan(32 * MIB);
  expect(served.events).toEqual(["list ended", "ended"]);
  socket.destroy();
});

test("a client that goes away ends the list, and what would follow it does not begin", async () => {
  await using served = serveList({});
  (await request(served.server)).destroy();
  await served.ended;
  expect(served.events).toEqual(["list ended", "ended"]);
});

test("what follows the list is made after it, and an error of it is in the response", async () => {
  const answer = async (last: () => Promise<object>): Promise<unknown> =>
    (
      await jsonList(
        "items",
        (async function* () {
          yield* ["a", "b"];
        })(),
        { last },
      )
    ).json();
  expect(await answer(async () => ({ count: 2 }))).toEqual({ items: ["a", "b"], count: 2 });
  const failing = async (): Promise<object> => {
    throw new Error("the disk is full");
  };
  expect(await answer(failing)).toEqual({ items: ["a", "b"], error: "the disk is full" });
});

test("a list that breaks off breaks the response off", async () => {
  async function* items(): AsyncGenerator<string> {
    yield ITEM;
    throw new Error("the disk fails");
  }
  const response = await jsonList("items", items());
  expect(await response.text().catch(String)).toBe("Error: the disk fails");
});

test("a list that cannot begin gives no response, so that the error can be one", async () => {
  const ended: string[] = [];
  async function* items(): AsyncGenerator<string> {
    yield "a";
    throw new Error("the disk fails");
  }
  const response = jsonList("items", items(), { ended: () => ended.push("ended") });
  expect(await response.catch(String)).toBe("Error: the disk fails");
  expect(ended).toEqual(["ended"]);
});
