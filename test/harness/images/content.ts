import { LRUCache } from "lru-cache";
import { type Digest, digestOf } from "../../../src/oci/digest.ts";
import { padding, TAR_END, tarHeader } from "./tar.ts";

/**
 * Bytes with a digest and a media type, as a registry stores them. Large content is generated on
 * each read.
 */
export interface Content {
  readonly mediaType: string;
  readonly digest: Digest;
  /** In bytes. */
  readonly size: number;
  chunks(): Iterable<Uint8Array<ArrayBuffer>>;
}

/** Content held in memory. */
export interface SmallContent extends Content {
  readonly bytes: Uint8Array<ArrayBuffer>;
}

export function contentOf(data: Uint8Array | string | object, mediaType: string): SmallContent {
  const bytes = new Uint8Array(
    data instanceof Uint8Array
      ? data
      : new TextEncoder().encode(typeof data === "string" ? data : JSON.stringify(data)),
  );
  return {
    mediaType,
    digest: digestOf(bytes),
    size: bytes.byteLength,
    bytes,
    chunks: () => [bytes],
  };
}

/** The content's descriptor, as a manifest contains it (image-spec, "OCI Content Descriptors"). */
export function descriptor({ mediaType, digest, size }: Content): {
  mediaType: string;
  digest: Digest;
  size: number;
} {
  return { mediaType, digest, size };
}

const CHUNK = 1024 * 1024;

/** A tar with one incompressible file of `size` bytes; the same seed gives the same bytes. */
export function randomTar(size: number, seed: number, mediaType: string): Content {
  const chunks = function* (): Generator<Uint8Array<ArrayBuffer>> {
    yield new Uint8Array(tarHeader({ path: "random" }, size));
    yield* randomBytes(size, seed);
    yield new Uint8Array(padding(size));
    yield TAR_END;
  };
  return contentFrom(chunks, mediaType);
}

/** Random bytes that are not a tar, for tests that never unpack them. */
export function randomContent(size: number, seed = 1): Content {
  return contentFrom(() => recentBytes(size, seed), "application/octet-stream");
}

let made = 0;

/** Random content that no other test of a file has, for tests that share a store. */
export function ownContent(size: number): Content {
  made += 1;
  // Seeds that tests choose are small.
  return randomContent(size, 1000 + made);
}

/** What was generated lately: upstreams read it anew for each part that is asked for. */
const RECENT_BYTES = 64 * CHUNK;
const recent = new LRUCache<string, readonly Uint8Array<ArrayBuffer>[]>({
  maxSize: RECENT_BYTES,
  maxEntrySize: RECENT_BYTES / 2,
  sizeCalculation: (chunks) => chunks.reduce((sum, { byteLength }) => sum + byteLength, 0) || 1,
});

function recentBytes(size: number, seed: number): Iterable<Uint8Array<ArrayBuffer>> {
  if (size > RECENT_BYTES / 2) return randomBytes(size, seed);
  const key = `${size} ${seed}`;
  const kept = recent.get(key) ?? [...randomBytes(size, seed)];
  recent.set(key, kept);
  return kept;
}

function contentFrom(chunks: () => Iterable<Uint8Array<ArrayBuffer>>, mediaType: string): Content {
  const hasher = new Bun.CryptoHasher("sha256");
  let size = 0;
  for (const chunk of chunks()) {
    hasher.update(chunk);
    size += chunk.byteLength;
  }
  // The algorithm's name and a hexadecimal hash make a digest by construction.
  return { mediaType, digest: `sha256:${hasher.digest("hex")}` as Digest, size, chunks };
}

/** xorshift32: several hundred MB/s, which a cryptographic generator does not reach here. */
function* randomBytes(size: number, seed: number): Generator<Uint8Array<ArrayBuffer>> {
  let state = (seed * 2_654_435_761) >>> 0 || 1;
  for (let remaining = size; remaining > 0; remaining -= CHUNK) {
    const length = Math.min(remaining, CHUNK);
    const words = new Uint32Array(Math.ceil(length / 4));
    for (let index = 0; index < words.length; index++) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      words[index] = state;
    }
    yield new Uint8Array(words.buffer, 0, length);
  }
}

/** All bytes of the content, to compare with a response body. */
export function bytesOf(content: Content): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(content.size);
  let end = 0;
  for (const chunk of content.chunks()) {
    bytes.set(chunk, end);
    end += chunk.byteLength;
  }
  return bytes;
}
