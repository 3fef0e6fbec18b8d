import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { MemoryBlobStore } from "../../store/memory/memory-blob-store.ts";
import { type Behaviour, sampleBlob, ScriptedSource } from "../cachetest/scripted-source.ts";
import { Fill } from "../fill/fill.ts";
import { LineShare, type LineUser } from "./line-share.ts";

const SIZES = { whole: 50_000, first: 40_000, min: 30_000, max: 60_000 };
const { bytes, digest } = sampleBlob(900_001);

/** A share that has learned that so many further connections are worth it. */
function shareOf(limit: number): LineShare {
  let now = 0;
  let bytesPerWindow = 1_000_000;
  const share = new LineShare(() => now, SIZES);
  share.limit = limit;
  let taken = 0;
  const user: LineUser = {
    isReceiving: true,
    tryConnect: () => {
      if (!share.take(false)) return false;
      taken += 1;
      return true;
    },
  };
  share.join(user);
  while (share.allowed < limit) {
    const before = share.allowed;
    for (let window = 0; window < 4 && share.allowed === before; window += 1) {
      share.received(bytesPerWindow);
      now += 200;
      share.look();
    }
    bytesPerWindow *= 1.5;
  }
  share.leave(user);
  for (; taken > 0; taken -= 1) share.release();
  return share;
}

test("a large blob is downloaded over several connections, each byte once", async () => {
  const source = new ScriptedSource(bytes);
  const share = shareOf(4);
  expect(share.allowed).toBeGreaterThan(0);
  const fill = new Fill(digest, new MemoryBlobStore(), source, { size: bytes.length, share });
  expect(await (await fill.stored).bytes.bytes()).toEqual(bytes);
  expect(source.sent).toBe(bytes.length);
  expect(source.offsets.length).toBeGreaterThan(10);
});

const behaviour: fc.Arbitrary<Behaviour> = fc.oneof(
  { weight: 4, arbitrary: fc.constant({}) },
  fc.record({ breaksAfter: fc.integer({ min: 1, max: 100_000 }) }),
  fc.constant({ ignoresOffset: true }),
  fc.constant({ ignoresEnd: true }),
  fc.record({ size: fc.integer({ min: 1, max: 2_000_000 }) }),
);

test("whatever the transfers do, the blob is right or the fill has failed", async () => {
  let stored = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(behaviour, { maxLength: 40 }),
      fc.integer({ min: 0, max: 8 }),
      async (script, limit) => {
        const source = new ScriptedSource(bytes, [...script]);
        const store = new MemoryBlobStore();
        const fill = new Fill(digest, store, source, {
          size: bytes.length,
          share: shareOf(limit),
          backOff: { random: () => 0 },
        });
        const blob = await fill.stored.catch(() => undefined);
        await fill.ended;
        if (blob) {
          stored += 1;
          expect(await blob.bytes.bytes()).toEqual(bytes);
        }
      },
    ),
    { numRuns: 60 },
  );
  expect(stored).toBeGreaterThan(10);
}, 60_000);
