import type { FileHandle } from "node:fs/promises";

/**
 * Reads bytes of a file: from offset `first` (inclusive) to `end` (exclusive).
 *
 * @param into memory for them; by default, it is new
 * @throws Error if the file ends before
 */
export async function readFully(
  file: FileHandle,
  first: number,
  end: number,
  into?: Uint8Array,
): Promise<Uint8Array> {
  const bytes = into?.subarray(0, end - first) ?? new Uint8Array(end - first);
  for (let done = 0; done < bytes.byteLength;) {
    const remaining = bytes.byteLength - done;
    const { bytesRead } = await file.read(bytes, done, remaining, first + done);
    if (bytesRead === 0) throw new Error(`the file ends at byte ${first + done}`);
    done += bytesRead;
  }
  return bytes;
}
