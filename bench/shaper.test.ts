import { expect, test } from "bun:test";
import { randomContent } from "../test/harness/content.ts";
import { shaped } from "./upstream.ts";

const content = randomContent(3_000_000);

test.each([
  { roundTrip: 0, rate: 0 },
  { roundTrip: 20, rate: 100 },
])("bytes come through a line of %o as they were sent, many at once", async (shape) => {
  using server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      const sent = await request.bytes();
      return new Response(sent.length > 0 ? sent : new Blob([...content.chunks()]));
    },
  });
  await using line = await shaped(server.port ?? 0, shape);
  const digests = await Promise.all(
    Array.from({ length: 5 }, async () => {
      const bytes = await (await fetch(line.url)).bytes();
      return `sha256:${new Bun.CryptoHasher("sha256").update(bytes).digest("hex")}`;
    }),
  );
  expect(new Set(digests)).toEqual(new Set([content.digest]));
  const echo = await fetch(line.url, { method: "POST", body: "there and back" });
  expect(await echo.text()).toBe("there and back");
});
