import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { padding, TAR_END, tarHeader } from "./tar.ts";

/** Bytes with a digest, as a registry holds them. Large ones are made again at each reading. */
export interface Content {
  readonly mediaType: string;
  readonly digest: Digest;
  /** In bytes. */
  readonly size: number;
  chunks(): Iterable<Uint8Array<ArrayBuffer>>;
}

/** Content that is in memory as a whole. */
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

/** As it stands in a manifest. */
export function descriptor({ mediaType, digest, size }: Content): {
  mediaType: string;
  digest: Digest;
  size: number;
} {
  return { mediaType, digest, size };
}

const CHUNK = 1024 * 1024;

/** A tar of one file of `size` bytes that no compression makes smaller; the same for the same seed. */
export function randomTar(size: number, seed: number, mediaType: string): Content {
  const chunks = function* (): Generator<Uint8Array<ArrayBuffer>> {
    yield new Uint8Array(tarHeader({ path: "random" }, size));
    yield* randomBytes(size, seed);
    yield new Uint8Array(padding(size));
    yield TAR_END;
  };
  return contentFrom(chunks, mediaType);
}

/** Random bytes that are no archive, for where only the bytes matter. */
export function randomContent(size: number, seed = 1): Content {
  return contentFrom(() => randomBytes(size, seed), "application/octet-stream");
}

function contentFrom(chunks: () => Iterable<Uint8Array<ArrayBuffer>>, mediaType: string): Content {
  const hasher = new Bun.CryptoHasher("sha256");
  let size = 0;
  for (const chunk of chunks()) {
    hasher.update(chunk);
    size += chunk.byteLength;
  }
  // A hexadecimal hash behind its algorithm's name is a digest by construction.
  return { mediaType, digest: `sha256:${hasher.digest("hex")}` as Digest, size, chunks };
}

/** xorshift32: some hundred MB/s, which a cryptographic generator would not bring here. */
function* randomBytes(size: number, seed: number): Generator<Uint8Array<ArrayBuffer>> {
  let state = (seed * 2_654_435_761) >>> 0 || 1;
  for (let left = size; left > 0; left -= CHUNK) {
    const words = new Uint32Array(CHUNK / 4);
    for (let index = 0; index < words.length; index++) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      words[index] = state;
    }
    yield new Uint8Array(words.buffer, 0, Math.min(left, CHUNK));
  }
}

/** All the bytes of a content, for comparing with what came over the wire. */
export function bytesOf(content: Content): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.concat([...content.chunks()]));
}
