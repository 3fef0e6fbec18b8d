import { formatSize } from "../../config/parsing/units.ts";
import { Fault } from "../../oci/fault.ts";
import { secondsText } from "../../oci/seconds-text.ts";

/** A blob that fits no disk like this one, though others do. Sizes are in bytes. */
export function tooLarge(bytes: number, usable: number): Fault {
  return noSpace(`${formatSize(bytes)} does not fit: the disk has ${formatSize(usable)} for blobs`);
}

/** A blob that the configured limit has no room for, though the disk may have. */
export function overQuota(bytes: number, maxSize: number, taken: string): Fault {
  return noSpace(
    `${formatSize(bytes)} does not fit: storage.maxSize is ${formatSize(maxSize)}, of which ${taken}`,
  );
}

/** @param timeout in milliseconds */
export function evictionTooSlow(bytes: number, timeout: number): Fault {
  return noSpace(
    `eviction did not free ${formatSize(bytes)} within ${secondsText(timeout / 1000)}; it continues`,
  );
}

/** Why the disk counts as full. */
export function nothingToEvict(free: number, minFree: number): string {
  return `the disk has ${formatSize(free)} free, and storage.minFree is ${formatSize(minFree)}; nothing is left to evict`;
}

function noSpace(reason: string): Fault {
  return new Fault({ kind: "no-space", reason });
}
