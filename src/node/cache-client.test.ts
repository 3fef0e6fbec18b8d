import { expect, test } from "bun:test";
import { CacheClient } from "./cache-client.ts";

const invalid = ["../../../evil", "a/b", "", "*", "A B", "..", "ghcr.io\n", "GHCR.io", "_default"];

for (const name of invalid) {
  test(`a list that contains ${JSON.stringify(name)} is rejected, because names become paths`, async () => {
    await using cache = serving(["ghcr.io", name]);
    const request = new CacheClient(cache.url.origin).namespaces();
    const result: unknown = await request.catch((error: unknown) => error);
    expect(result).toMatchObject({ kind: "not-entrepot" });
  });
}

test("duplicate names in the list are removed", async () => {
  await using cache = serving(["ghcr.io", "reg.test:5000", "ghcr.io"]);
  const served = await new CacheClient(cache.url.origin).namespaces();
  expect(served).toEqual(["ghcr.io", "reg.test:5000"]);
});

function serving(namespaces: readonly string[]): Bun.Server<undefined> & AsyncDisposable {
  const server = Bun.serve({ port: 0, fetch: () => Response.json({ namespaces }) });
  return Object.assign(server, { [Symbol.asyncDispose]: () => server.stop(true) });
}

test.each([
  [200, "", true],
  [401, 'Bearer realm="http://cache/v2/token",service="entrepot", Basic realm="entrepot"', true],
  // A proxy before the cache, at which no runtime gets past.
  [401, 'Basic realm="proxy"', false],
  [401, "", false],
  [403, 'Basic realm="entrepot"', false],
  [404, "", false],
])(
  "a cache that answers %i (%s) at /v2/ serves a registry: %p",
  async (status, challenge, isServed) => {
    const headers = challenge === "" ? {} : { "www-authenticate": challenge };
    await using server = Object.assign(
      Bun.serve({ port: 0, fetch: () => new Response("", { status, headers }) }),
      { [Symbol.asyncDispose]: () => server.stop(true) },
    );
    const asked = new CacheClient(server.url.origin).requireNamespace("ghcr.io");
    const result = await asked.then(
      () => true,
      () => false,
    );
    expect(result).toBe(isServed);
  },
);
