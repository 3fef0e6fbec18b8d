import type { FileHandle } from "node:fs/promises";
import { type Digest, newHasher } from "../../oci/digest.ts";
import type { BufferPool } from "../../process/buffer-pool.ts";

/** Hashes the beginning of a file, up to `end` or where the file ends before. */
export async function hashPrefix(
  file: FileHandle,
  digest: Digest,
  end: number,
  buffers: BufferPool,
): Promise<{ readonly hasher: Bun.CryptoHasher; readonly length: number }> {
  const hasher = newHasher(digest);
  let length = 0;
  const buffer = buffers.take();
  try {
    while (length < end) {
      const wanted = Math.min(buffer.byteLength, end - length);
      const { bytesRead } = await file.read(buffer, 0, wanted, length);
      if (bytesRead === 0) break;
      hasher.update(buffer.subarray(0, bytesRead));
      length += bytesRead;
    }
  } finally {
    buffers.give(buffer);
  }
  return { hasher, length };
}
