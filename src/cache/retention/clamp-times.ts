import type { MetadataStore } from "../../store/metadata-store.ts";

const DAY_MS = 86_400_000;
/** `total` counts no blocks for it. */
const ANY_BLOCK_SIZE = 4096;

/**
 * Sets times of blobs, and of what tags pointed to, that are in the future to now: a clock that was wrong leaves them, and such a blob would never
 * become old. If most of them are by a day or more, it is rather the clock of now that is wrong, as at a start without
 * a battery: with it corrected, all blobs would be as old as the epoch, and those with a maxAge would go at once. So it
 * is believed only once the process has run with it for a day.
 *
 * @param now in milliseconds of the epoch
 * @param uptime of the process, in milliseconds
 */
export async function clampTimes(
  { blobs, tagHistory }: Pick<MetadataStore, "blobs" | "tagHistory">,
  now: number,
  uptime: number,
): Promise<void> {
  if (uptime < DAY_MS) {
    const ahead = await blobs.usedAfter(now + DAY_MS);
    const { count } = await blobs.total(ANY_BLOCK_SIZE);
    if (2 * ahead > count) return;
  }
  await blobs.clampTimes(now);
  await tagHistory.clampTimes(now);
}
