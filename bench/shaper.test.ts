import { expect, test } from "bun:test";
import { randomContent } from "../test/harness/images/content.ts";
import { startShaper } from "./shaped-link.ts";

const content = randomContent(3_000_000);

test.each([
  { roundTripMs: 0, megabytesPerSecond: 0 },
  { roundTripMs: 20, megabytesPerSecond: 100 },
  { roundTripMs: 2, megabytesPerSecond: 0, connectionMegabytesPerSecond: 50, slowStart: true },
])("concurrent transfers over a link of %o are unaltered", async (shape) => {
  using server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      const body = await request.bytes();
      return new Response(body.length > 0 ? body : new Blob([...content.chunks()]));
    },
  });
  await using link = await startShaper(server.port ?? 0, shape);
  const digests = await Promise.all(
    Array.from({ length: 5 }, async () => {
      const bytes = await (await fetch(link.url)).bytes();
      return `sha256:${new Bun.CryptoHasher("sha256").update(bytes).digest("hex")}`;
    }),
  );
  expect(new Set(digests)).toEqual(new Set([content.digest]));
  expect(await link.delivered()).toBeGreaterThanOrEqual(5 * content.size);
  expect(await link.delivered()).toBeLessThan(5 * content.size + 5_000);
  const echo = await fetch(link.url, { method: "POST", body: "echo" });
  expect(await echo.text()).toBe("echo");
});

test("what a client leaves before it has arrived is not counted as delivered", async () => {
  using server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: () => new Response(new Blob([...content.chunks()])),
  });
  await using link = await startShaper(server.port ?? 0, {
    roundTripMs: 20,
    megabytesPerSecond: 0.1,
  });
  const response = await fetch(link.url);
  await response.body?.cancel();
  expect(await link.delivered()).toBeLessThan(content.size / 2);
});

test("a server that closes after its response loses nothing of it", async () => {
  using server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data(socket) {
        socket.end(`HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n${"x".repeat(200_000)}`);
      },
    },
  });
  await using link = await startShaper(server.port, { roundTripMs: 20, megabytesPerSecond: 5 });
  expect(await (await fetch(link.url)).text()).toHaveLength(200_000);
});
