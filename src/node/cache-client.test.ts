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
