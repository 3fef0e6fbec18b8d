import type { Progress } from "../../api/jobs.ts";
import type { WarmResult } from "../../api/warm.ts";
import { formatSize } from "../../config/parsing/units.ts";
import { printable } from "../../printable.ts";
import { counted, duration } from "../table.ts";

/** `3 of 12 images, 40 of 120 blobs, 1.2 GiB of 40 GiB, 95 MiB/s, 7 min left; docker.io limits requests: …` */
export function warmProgressText({ done = {}, of = {}, bytesPerSecond, note }: Progress): string {
  const { images = 0, blobs = 0, bytes = 0 } = done;
  const { images: allImages = 0, blobs: allBlobs = 0, bytes: allBytes = 0 } = of;
  const parts = [
    `${images} of ${counted(allImages, "image")}`,
    `${blobs} of ${counted(allBlobs, "blob")}`,
    `${formatSize(bytes)} of ${formatSize(allBytes)}`,
  ];
  if (bytesPerSecond !== undefined && bytesPerSecond > 0) {
    parts.push(`${formatSize(bytesPerSecond)}/s`);
    const left = (allBytes - bytes) / bytesPerSecond;
    if (left >= 1) parts.push(`${duration(left)} left`);
  }
  return parts.join(", ") + (note === undefined ? "" : `; ${printable(note)}`);
}

/** What came of an order, for people. */
export function warmText({ ready, failed, uncached, downloaded, cut, items }: WarmResult): string {
  const lines: string[] = [];
  if (ready > 0) {
    const what = `${counted(ready, "image")} ${ready === 1 ? "is" : "are"} here`;
    const amount = `${counted(downloaded.blobs, "blob")}, ${formatSize(downloaded.bytes)}`;
    lines.push(
      downloaded.blobs === 0 ? `${what}: nothing was missing.` : `${what}: downloaded ${amount}.`,
    );
  }
  for (const { image, stale } of items) {
    if (stale !== undefined)
      lines.push(`${printable(image)} is as it was known before: ${printable(stale)}`);
  }
  for (const { images, matching } of cut) {
    const all = counted(matching, "tag");
    lines.push(
      `${printable(images)} matches ${all}, and only the highest versions were taken: see --max`,
    );
  }
  lines.push(...named("uncached", "not cached here", uncached, items));
  lines.push(...named("failed", "not here", failed, items));
  return lines.join("\n");
}

/** Those of a state, with the reason of each. */
function* named(
  wanted: "failed" | "uncached",
  what: string,
  count: number,
  items: WarmResult["items"],
): Generator<string> {
  if (count === 0) return;
  yield `${counted(count, "image")} ${count === 1 ? "is" : "are"} ${what}:`;
  const listed = items.filter(({ state }) => state === wanted);
  for (const { image, reason = "" } of listed) {
    yield `  ${printable(image)}: ${printable(reason)}`;
  }
  if (listed.length < count) yield `  and ${count - listed.length} more`;
}
