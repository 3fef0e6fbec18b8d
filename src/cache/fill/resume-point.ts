import { newHasher } from "../../oci/digest.ts";
import type { BlobWriter, StoredBlob } from "../../store/blob-store.ts";
import type { TailBuffer } from "./tail-buffer.ts";

/** The last bytes of a blob that are withheld until its digest was verified. */
export const WITHHELD_TAIL = 64 * 1024;

/** How much of a stored blob is read and hashed at a time, in bytes. */
const COMPARED_BYTES = 1024 * 1024;

/** Where followers continue without the writer of a fill: by themselves, from the source, or from the store. */
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

/** Whether a stored blob begins with the bytes before a resume point. */
export async function beginsWith(
  { digest, size, bytes }: StoredBlob,
  { length, hasher }: ResumePoint,
): Promise<boolean> {
  if (length > size) return false;
  const stored = newHasher(digest);
  for (let at = 0; at < length; at += COMPARED_BYTES) {
    stored.update(await bytes.slice(at, Math.min(at + COMPARED_BYTES, length)).bytes());
  }
  return stored.digest("hex") === hasher.copy().digest("hex");
}
