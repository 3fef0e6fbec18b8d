import { open, rm } from "node:fs/promises";
import path from "node:path";
import { secondsText } from "../oci/seconds-text.ts";
import { nearestExisting } from "./disk.ts";
import { type Finding, reporter } from "./finding.ts";

/** As many as show what is usual. */
const SYNCS = 9;
/** No more syncs begin after this time, in milliseconds. */
const MAX_TIME_MS = 3000;
/** Slower than any disk of one's own should be, in milliseconds. */
const NOTE_MS = 50;
/** The running cache calls such a disk slow, in milliseconds: see store/disk-times.ts. */
const PROBLEM_MS = 200;

/** Measures how long it takes until 4 KiB are on the disk, as each blob that is stored has to wait for it. */
export async function diskSpeedFindings(folder: string): Promise<Finding[]> {
  const existing = nearestExisting(folder);
  const report = reporter("disk speed", folder);
  const times = await syncTimes(path.join(existing, `.doctor-${process.pid}-sync`));
  const sorted = times.toSorted((one, other) => one - other);
  const [median, slowest] = [sorted[sorted.length >> 1], sorted.at(-1)];
  // The check of the disk itself says why nothing can be written.
  if (median === undefined || slowest === undefined) return [];
  const found = `a sync takes ${text(median)} (the median of ${times.length}; the slowest took ${text(slowest)})`;
  if (median < NOTE_MS) return [report("ok", found)];
  const advice =
    "move storage.dir to a faster disk, or find what else keeps this one busy (iostat -x): each new blob waits for several syncs";
  return [report(median < PROBLEM_MS ? "note" : "problem", found, advice)];
}

/** In milliseconds; none if the file cannot be written. */
async function syncTimes(file: string): Promise<readonly number[]> {
  const times: number[] = [];
  try {
    // Exclusive: as root, it never writes through a link of another user.
    await using handle = await open(file, "wx");
    const block = Buffer.alloc(4096);
    const end = performance.now() + MAX_TIME_MS;
    while (times.length < SYNCS && performance.now() < end) {
      const startedAt = performance.now();
      await handle.write(block);
      await handle.sync();
      times.push(performance.now() - startedAt);
    }
  } catch {
    return times;
  } finally {
    await rm(file, { force: true }).catch(() => undefined);
  }
  return times;
}

function text(milliseconds: number): string {
  return secondsText(milliseconds / 1000);
}
