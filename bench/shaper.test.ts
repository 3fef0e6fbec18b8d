import { expect, test } from "bun:test";
import { randomContent } from "../test/harness/content.ts";
import { startShaper } from "./upstream.ts";

const content = randomContent(3_000_000);

test.each([
  { roundTripMs: 0, megabytesPerSecond: 0 },
  { roundTripMs: 20, megabytesPerSecond: 100 },
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
  const echo = await fetch(link.url, { method: "POST", body: "echo" });
  expect(await echo.text()).toBe("echo");
});
