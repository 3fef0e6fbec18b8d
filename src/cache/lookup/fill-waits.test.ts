import { expect, test } from "bun:test";
import { MemoryBlobStore } from "../../store/memory/memory-blob-store.ts";
import type { Source } from "../fetch/source.ts";
import { type Behaviour, sampleBlob, ScriptedSource } from "../cachetest/scripted-source.ts";
import { Fill } from "../fill/fill.ts";
import { smallBlob, vouchedBytes } from "./fill-waits.ts";

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

test("a small blob is sent as it is verified, and its clients wait for no disk", async () => {
  const { fill, store } = await verifiedFill(1000);
  // No timer has to end: it is there after a few turns of the microtask queue.
  const got: unknown[] = [];
  for (const isRange of [false, true]) {
    void smallBlob(fill, isRange).then((blob) => got.push(blob));
  }
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
  const inMemory = { digest: fill.digest, size: 1000, isInMemory: true };
  expect(got).toMatchObject([inMemory, inMemory]);
  store();
  expect(await smallBlob(fill, false)).toMatchObject(inMemory);
  await fill.stored;
  expect(await smallBlob(fill, false)).toBe(await fill.stored);
});

test.each<[string, Behaviour, number]>([
  ["right", {}, 0],
  ["wrong", { bytes: sampleBlob(200_000, 2).bytes }, 1],
])(
  "of a store that all share, %s bytes are not sent before they are verified",
  async (_, behaviour, attempt) => {
    const { bytes, digest } = sampleBlob(200_000);
    const scripted = new ScriptedSource(bytes, [behaviour], "near.test/store");
    const shared: Source = {
      upstream: scripted.upstream,
      name: scripted.name,
      near: { firstByteMs: 60_000, stallMs: 60_000 },
      open: (offset, signal) => scripted.open(offset, signal),
    };
    const gate = Promise.withResolvers<void>();
    const upstream = new ScriptedSource(bytes);
    const held: Source = {
      upstream: upstream.upstream,
      name: upstream.name,
      open: async (offset, signal, end) => {
        await gate.promise;
        return upstream.open(offset, signal, end);
      },
    };
    const fill = new Fill(digest, new MemoryBlobStore(), held, { near: [shared] });
    await fill.started;
    await vouchedBytes(fill);
    expect([fill.attempt, fill.isVerified]).toEqual([attempt, attempt === 0]);
    gate.resolve();
    await fill.stored;
  },
);
