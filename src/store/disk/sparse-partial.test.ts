import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  appendFile,
  cp,
  mkdtemp,
  readdir,
  rename,
  rm,
  symlink,
  truncate,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { digestHex, digestOf } from "../../oci/digest.ts";
import type { BlobWriter } from "../blob-store.ts";
import type { Extent } from "../extents.ts";
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

/** A partial download with a beginning of 300,000 bytes and an extent ahead; the path of its file. */
async function sparsePartial(directory: string): Promise<string> {
  const writer = await (await openDiskBlobStore(directory)).writer(digest);
  await writer.append(blob.subarray(0, 300_000));
  // Once it is in the file, the journal begins with it.
  await writer.read(0, 300_000);
  await writer.writeAhead(1_000_000, [blob.subarray(1_000_000, 1_400_000)]);
  await writer.suspend();
  return join(directory, "fills", `sha256-${digestHex(digest)}`);
}

const AHEAD = { first: 1_000_000, end: 1_400_000 };

test.each([
  [
    "is cut off in its last line",
    (journal: string) => truncate(journal, Bun.file(journal).size - 1),
    [300_000, []],
  ],
  [
    "is longer than its file",
    (journal: string) => truncate(journal.slice(0, -".extents".length), 1_200_000),
    [300_000, [{ first: 1_000_000, end: 1_200_000 }]],
  ],
  [
    "goes on after a line that was cut off",
    (journal: string) => appendFile(journal, "300000 43300000 1400000\n17000"),
    [300_000, [AHEAD]],
  ],
  ["is empty", (journal: string) => truncate(journal, 0), [0, []]],
  [
    "is of another format",
    (journal: string) => writeFile(journal, '{"version":2,"extents":[[0,2000003]]}\n\0\0\n'),
    [0, []],
  ],
  ["is far too long", (journal: string) => truncate(journal, 1e9), [0, []]],
  [
    "leads elsewhere",
    async (journal: string) => {
      await rename(journal, `${journal}.other`);
      await symlink(`${journal}.other`, journal);
    },
    [0, []],
  ],
  [
    "is missing, as those of earlier versions are",
    async (journal: string) => {
      await rm(journal);
      await truncate(journal.slice(0, -".extents".length), 300_000);
    },
    [300_000, []],
  ],
])("a journal that %s claims nothing that is not there", async (_, damage, expected) => {
  const directory = join(folder, "damaged");
  const partial = await sparsePartial(directory);
  await damage(`${partial}.extents`);
  const writer = await (await openDiskBlobStore(directory)).writer(digest);
  const [length, ahead] = [
    writer.length,
    writer.ahead.filter(({ first }) => first > writer.length),
  ];
  expect([length, ahead]).toEqual(expected as [number, Extent[]]); // The table's last column.
  await complete(writer);
  expect(writer.verify()).toBe(true);
  await writer.commit();
  const left = (await readdir(join(directory, "fills"))).filter((name) => !name.endsWith("other"));
  expect(left).toEqual([]);
});

test("a journal without its file is listed and removed like a partial download", async () => {
  const directory = join(folder, "orphan");
  const partial = await sparsePartial(directory);
  const store = await openDiskBlobStore(directory);
  const [sparse] = await Array.fromAsync(store.partials());
  // What it takes on the disk, and not its length.
  expect(sparse?.size).toBeLessThan(900_000);
  await rm(partial);
  const [orphan, ...others] = await Array.fromAsync(store.partials());
  expect([orphan?.digest, orphan?.size, others]).toEqual([digest, 0, []]);
  expect(orphan && (await store.removePartial(orphan.name))).toBe(true);
  expect(await readdir(join(directory, "fills"))).toEqual([]);
});

test("a download that is discarded while it is written leaves nothing behind", async () => {
  const directory = join(folder, "discarded");
  const store = await openDiskBlobStore(directory);
  for (let round = 0; round < 20; round += 1) {
    const writer = await store.writer(digest);
    await writer.writeAhead(1_000_000, [blob.subarray(1_000_000, 1_400_000)]);
    await writer.append(blob.subarray(0, 200_000));
    const ahead = writer.writeAhead(1_400_000, [blob.subarray(1_400_000)]).catch(() => {});
    await writer.discard();
    await ahead;
    expect(await readdir(join(directory, "fills"))).toEqual([]);
  }
});
