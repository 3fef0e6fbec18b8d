import { expect, test } from "bun:test";
import { CacheClient } from "./cache-client.ts";

const odd = ["../../../evil", "a/b", "", "*", "A B", "..", "ghcr.io\n", "GHCR.io", "_default"];

for (const name of odd) {
  test(`a list with ${JSON.stringify(name)} in it is believed in nothing: names become paths`, async () => {
    await using cache = serving(["ghcr.io", name]);
    const asked = new CacheClient(cache.url.origin).namespaces();
    const answer: unknown = await asked.catch((error: unknown) => error);
    expect(answer).toMatchObject({ kind: "not-entrepot" });
  });
}

test("a name that is there twice counts once", async () => {
  await using cache = serving(["ghcr.io", "reg.test:5000", "ghcr.io"]);
  const served = await new CacheClient(cache.url.origin).namespaces();
  expect(served).toEqual(["ghcr.io", "reg.test:5000"]);
});

function serving(namespaces: readonly string[]): Bun.Server<undefined> & AsyncDisposable {
  const server = Bun.serve({ port: 0, fetch: () => Response.json({ namespaces }) });
  return Object.assign(server, { [Symbol.asyncDispose]: () => server.stop(true) });
}
