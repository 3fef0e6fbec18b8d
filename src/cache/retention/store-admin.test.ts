import { expect, test } from "bun:test";
import { tempDir } from "../../../test/harness/places.ts";
import { digestOf } from "../../oci/digest.ts";
import { sampleBytes } from "../../store/storetest/sample-bytes.ts";
import { type KeptStore, openKeptStore } from "./storage.ts";

const SIZE = 10_000;

async function openStore(dataDirectory: string): Promise<KeptStore> {
  const ignored = (): void => {};
  return openKeptStore(
    { dataDirectory, storage: { maxSize: 1e9, minFree: 0, scrub: 0 }, upstreams: new Map() },
    { full: ignored, removed: ignored, unwritten: ignored, damaged: ignored, failed: ignored },
  );
}

async function put({ store, index }: KeptStore, seed: number): Promise<void> {
  const bytes = sampleBytes(SIZE, seed);
  const digest = digestOf(bytes);
  const draft = await store.draft(digest);
  await draft.append(bytes);
  draft.verify();
  await draft.commit();
  await index.contents.put({ digest, size: SIZE }, seed);
}

test("what is stored or goes while bytes are counted is not forgotten, nor counted twice", async () => {
  await using dir = await tempDir("steward");
  await using kept = await openStore(dir.file("data"));
  for (let seed = 1; seed <= 5; seed += 1) await put(kept, seed);
  const { contents } = kept.index;
  const total = contents.total.bind(contents);
  let stored = 5;
  Object.assign(contents, {
    total: async () => {
      const counted = await total();
      stored += 1;
      await put(kept, stored);
      return counted;
    },
  });
  await kept.steward.recount();
  expect(kept.space.held).toBe(stored * SIZE);

  // And what was added up wrongly is mended all the same, as far as can be known.
  kept.space.changeHeld(100 * SIZE);
  await kept.steward.recount();
  expect(Math.abs(kept.space.held - stored * SIZE)).toBeLessThanOrEqual(2 * SIZE);
  Object.assign(contents, { total });
  await kept.steward.recount();
  expect(kept.space.held).toBe(stored * SIZE);
});
