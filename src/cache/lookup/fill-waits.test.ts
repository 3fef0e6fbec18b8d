import { expect, test } from "bun:test";
import { MemoryBlobStore } from "../../store/memory/memory-blob-store.ts";
import { sampleBlob, ScriptedSource } from "../cachetest/scripted-source.ts";
import { Fill } from "../fill/fill.ts";
import { smallBlob } from "./fill-waits.ts";

/** A fill that has verified its blob, and is not done with storing it before `store` is called. */
async function verifiedFill(size: number) {
  const { bytes, digest } = sampleBlob(size);
  const { promise, resolve } = Promise.withResolvers<void>();
  const fill = new Fill(digest, new MemoryBlobStore(), new ScriptedSource(bytes), {
    size,
    commit: async (writer) => {
      await promise;
      return writer.commit();
    },
  });
  await fill.verified;
  return { fill, store: resolve };
}

test("a large blob that is about to be stored is sent from the store", async () => {
  const { fill, store } = await verifiedFill(5 * 1024 * 1024);
  const waiting = [smallBlob(fill, false), smallBlob(fill, true)];
  store();
  for (const blob of await Promise.all(waiting)) expect(blob).toBe(await fill.stored);
});

test("of a slow disk, clients wait once, and then take what is in memory", async () => {
  const { fill, store } = await verifiedFill(1000);
  expect(await smallBlob(fill, false)).toMatchObject({ size: 1000, isInMemory: true });
  // No timer has to end any more: it is there after a few turns of the microtask queue.
  let again: unknown;
  void smallBlob(fill, true).then((blob) => (again = blob));
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
  expect(again).toMatchObject({ size: 1000, isInMemory: true });
  store();
  await fill.stored;
});
