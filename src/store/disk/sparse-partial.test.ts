import { afterEach, beforeEach, expect, test } from "bun:test";
import { cp, mkdtemp, readdir, rm, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { digestHex, digestOf } from "../../oci/digest.ts";
import type { BlobWriter } from "../blob-store.ts";
import { sampleBytes } from "../storetest/sample-bytes.ts";
import { openDiskBlobStore } from "./disk-blob-store.ts";

const SIZE = 2_000_003;
const blob = sampleBytes(SIZE);
const digest = digestOf(blob);

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "entrepot-sparse-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Downloads what is missing, in order. */
async function complete(writer: BlobWriter): Promise<void> {
  while (writer.length < SIZE) {
    if (await writer.absorb()) continue;
    const end = Math.min(SIZE, writer.ahead[0]?.first ?? SIZE, writer.length + 100_000);
    await writer.append(blob.subarray(writer.length, end));
  }
}

const offset = fc.integer({ min: 0, max: SIZE - 1 });
const step = fc.oneof(
  fc.record({ kind: fc.constant("append" as const), bytes: fc.integer({ min: 1, max: 400_000 }) }),
  fc.record({
    kind: fc.constant("ahead" as const),
    first: offset,
    bytes: fc.integer({ min: 1, max: 700_000 }),
  }),
  fc.constant({ kind: "absorb" as const }),
  fc.constant({ kind: "suspend" as const }),
  fc.constant({ kind: "crash" as const }),
);

test("in any order of writes, suspensions and crashes, the blob has the right bytes", async () => {
  let run = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
      run += 1;
      let directory = join(folder, String(run));
      let writer = await (await openDiskBlobStore(directory)).writer(digest);
      let reopened = 0;
      for (const one of steps) {
        const limit = writer.ahead[0]?.first ?? SIZE;
        if (one.kind === "append") {
          const end = Math.min(limit, writer.length + one.bytes);
          await writer.append(blob.subarray(writer.length, end));
        } else if (one.kind === "absorb") {
          await writer.absorb();
        } else if (one.kind === "ahead" && one.first > writer.length) {
          const end = Math.min(SIZE, one.first + one.bytes);
          await writer.writeAhead(one.first, [blob.subarray(one.first, end)]);
        } else if (one.kind === "suspend") {
          const before = [writer.length, writer.ahead];
          await writer.suspend();
          writer = await (await openDiskBlobStore(directory)).writer(digest);
          while (await writer.absorb());
          expect(writer.length).toBeGreaterThanOrEqual(Number(before[0]));
        } else if (one.kind === "crash") {
          // What another process finds that begins now, while this one has ended nothing.
          reopened += 1;
          const next = join(folder, `${run}-${reopened}`);
          await cp(directory, next, { recursive: true });
          await writer.discard();
          directory = next;
          writer = await (await openDiskBlobStore(directory)).writer(digest);
        }
        for (const { first, end } of writer.ahead) {
          const read = await writer.read(first, Math.min(end, first + 1000));
          expect(read).toEqual(blob.slice(first, Math.min(end, first + 1000)));
        }
      }
      await complete(writer);
      expect(writer.verify()).toBe(true);
      expect(await (await writer.commit()).bytes.bytes()).toEqual(blob);
      expect(await readdir(join(directory, "fills"))).toEqual([]);
    }),
    { numRuns: 40 },
  );
}, 60_000);

test("a journal that is longer than its file, or cut off, claims nothing that is not there", async () => {
  const directory = join(folder, "cut");
  const first = await (await openDiskBlobStore(directory)).writer(digest);
  await first.append(blob.subarray(0, 300_000));
  await first.writeAhead(1_000_000, [blob.subarray(1_000_000, 1_400_000)]);
  await first.suspend();
  const partial = join(directory, "fills", `sha256-${digestHex(digest)}`);
  await truncate(partial, 1_200_000);
  await truncate(`${partial}.extents`, (await Bun.file(`${partial}.extents`).text()).length - 1);
  const second = await (await openDiskBlobStore(directory)).writer(digest);
  // The last line is cut off.
  expect([second.length, second.ahead]).toEqual([300_000, []]);
  await second.discard();
  expect(await readdir(join(directory, "fills"))).toEqual([]);
});
