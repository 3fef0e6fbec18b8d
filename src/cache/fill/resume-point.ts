import type { BlobWriter } from "../../store/blob-store.ts";
import type { TailBuffer } from "./tail-buffer.ts";

/** The last bytes of a blob that are withheld until its digest was verified. */
export const WITHHELD_TAIL = 64 * 1024;

/** Offset of that tail. */
export function withheldFrom(size: number | undefined): number {
  return Math.max(0, (size ?? 0) - WITHHELD_TAIL);
}

/** Where followers continue by themselves, from the source, after a fill could not be stored. */
export interface ResumePoint {
  /** Length in bytes of the beginning of the blob that can still be read from the fill. */
  readonly length: number;
  /** Has hashed that beginning. It is shared: copy it before use. */
  readonly hasher: Bun.CryptoHasher;
}

/** After the written and the buffered bytes, since a follower may have received any of them. */
export function resumePointOf(writer: BlobWriter, tail: TailBuffer): ResumePoint {
  const { hasher, ...written } = writer.prefix();
  let { length } = written;
  while (length < writer.length) {
    const chunk = tail.read(length, writer.length);
    if (!chunk) break;
    hasher.update(chunk);
    length += chunk.byteLength;
  }
  return { length, hasher };
}
