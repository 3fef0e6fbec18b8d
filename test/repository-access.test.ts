import { expect, test } from "bun:test";
import { bytesOf, ownContent } from "./harness/images/content.ts";
import { localUpstream } from "./harness/cache/entrepot.ts";
import { SharedCache } from "./harness/cache/shared-cache.ts";
import { type Fault, errorResponse } from "./harness/faults/faults.ts";
import { textImage } from "./harness/images/images.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { Gate, until } from "./harness/waiting.ts";

const shared = new SharedCache();

async function setUp(rule: (repository: string) => Fault | undefined | Promise<Fault | undefined>) {
  const upstream = await startScriptedUpstream();
  const blob = ownContent(300_000);
  for (const repository of ["public", "private"]) upstream.addBlob(repository, blob);
  upstream.respond(({ repository }) => rule(repository));
  const added = await shared.add(localUpstream(upstream.url));
  const { cache, path } = added;
  return {
    upstream,
    blob,
    cache,
    path,
    get: (repository: string) => cache.get(path(`${repository}/blobs/${blob.digest}`)),
    async [Symbol.asyncDispose]() {
      added[Symbol.dispose]();
      await upstream[Symbol.asyncDispose]();
    },
  };
}

test("a second request while a fill for the same repository begins causes no upstream request", async () => {
  const gate = new Gate();
  await using at = await setUp(() => ({ hold: gate.opened }));
  const first = at.get("public");
  await until(() => at.upstream.requests().length === 1, { what: "the first request" });
  const second = at.get("public");
  // The response to a third request shows that the second has been accepted before it.
  expect((await at.cache.get("/v2/")).status).toBe(200);
  gate.open();
  for (const response of [await first, await second]) {
    expect(await response.bytes()).toEqual(bytesOf(at.blob));
  }
  expect(at.upstream.requests().length).toBe(1);
});

test("a client without access to a repository gets no bytes of a fill for another repository", async () => {
  const gate = new Gate();
  await using at = await setUp(async (repository) => {
    if (repository === "public") return undefined;
    await gate.opened;
    return errorResponse(403);
  });
  const refused = at.get("private");
  await until(() => at.upstream.requests().length === 1, { what: "the refused request" });
  const allowed = at.get("public");
  expect((await at.cache.get("/v2/")).status).toBe(200);
  gate.open();
  const statuses = await Promise.all([refused, allowed].map(async (one) => (await one).status));
  expect(statuses).toEqual([403, 200]);
  expect((await at.get("private")).status).toBe(403);
  expect((await at.get("public")).status).toBe(200);
});

test("a stored manifest is served only from repositories where the upstream grants access", async () => {
  await using at = await setUp((repository) =>
    repository === "private" ? errorResponse(403) : undefined,
  );
  const image = textImage();
  for (const repository of ["public", "private"]) at.upstream.add(repository, image, "1");
  const get = (repository: string) =>
    at.cache.get(at.path(`${repository}/manifests/${image.manifest.digest}`));
  expect((await get("public")).status).toBe(200);
  expect((await get("private")).status).toBe(403);
});
