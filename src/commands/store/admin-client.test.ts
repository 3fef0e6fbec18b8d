import { expect, test } from "bun:test";
import { z } from "zod";
import { AdminClient, AdminError } from "./admin-client.ts";

const image = z.object({ size: z.number() });

async function listOf(body: string): Promise<readonly { size: number }[]> {
  using server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response(body) });
  const client = new AdminClient({ admin: { host: "127.0.0.1", port: server.port ?? 0 } });
  const taken: { size: number }[] = [];
  await client.list("images", "images", image, (element) => taken.push(element));
  return taken;
}

test("a long list is taken element by element, in order", async () => {
  const images = Array.from({ length: 5000 }, (_, size) => ({ size, padding: "x".repeat(50) }));
  const taken = await listOf(JSON.stringify({ images }));
  expect(taken).toEqual(images.map(({ size }) => ({ size })));
});

test.each([
  '{"images":[{"size":1},{"si',
  '{"images":[{"size":1}',
  '{"others":[]}',
  '{"images":1}',
  "",
])("a response that is no whole list is an error of the cache: %p", async (body) => {
  expect(await listOf(body).catch((error: unknown) => error)).toBeInstanceOf(AdminError);
});
