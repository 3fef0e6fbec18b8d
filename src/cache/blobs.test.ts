import { expect, test } from "bun:test";
import { MemoryBlobs } from "../store/memory-blobs.ts";
import { openIndex } from "../store/open-index.ts";
import { registry, repository, serve, settings } from "../upstream/testing.ts";
import { Blobs } from "./blobs.ts";
import { Fills } from "./fills.ts";
import { Negatives } from "./negatives.ts";
import { Passing } from "./passing.ts";
import { content } from "./testing.ts";

const { bytes, digest } = content(100_000);

test("who joins a fill that is ending with another place's refusal begins a new one", async () => {
  using server = serve(({ path }) =>
    path.startsWith("/v2/open/") ? new Response(bytes) : new Response("", { status: 404 }),
  );
  const store = new MemoryBlobs();
  const ending = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  const draft = store.draft.bind(store);
  // The first draft takes its time to go, as a file on a busy disk does.
  store.draft = async (wanted) => {
    store.draft = draft;
    const first = await draft(wanted);
    const discard = first.discard.bind(first);
    first.discard = async () => {
      ending.resolve();
      await ended.promise;
      await discard();
    };
    return first;
  };
  const fills = new Fills(store, { stored: async () => {}, ended: () => {} });
  const index = await openIndex(":memory:");
  const blobs = new Blobs({
    store,
    index,
    fills,
    used: () => {},
    negatives: new Negatives(),
    passing: new Passing(),
  });
  const known = settings(`http://reg.test:${server.port}`);
  const upstream = { settings: known, registry: registry(server.port) };
  const get = (name: string) =>
    blobs.get(upstream, { upstream: known.name, repository: repository(name) }, digest);

  const refused = get("secret").then(
    () => "served",
    (error: unknown) => String(error),
  );
  await ending.promise;
  const served = get("open");
  // Its turn to join comes with the answer of the index, which is there at once.
  while (fills.running(digest) === undefined) await Promise.resolve();
  await new Promise(setImmediate);
  ended.resolve();
  expect(await refused).toContain("has no blob");
  expect((await served).kind).toBe("stored");
  expect(server.seen.map(({ path }) => path.split("/")[2])).toEqual(["secret", "open"]);
  await index.close();
});
