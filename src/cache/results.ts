import type { Digest } from "../oci/digest.ts";
import type { Fault } from "../oci/fault.ts";
import type { ByteRange } from "../oci/range.ts";
import type { StoredBlob } from "../store/blob-store.ts";
import type { CacheStatus } from "./cache-status.ts";

/** A verified manifest: its exact bytes, and the Content-Type that they are served under. */
export interface StoredManifest {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Set where it could not be stored, and is held for this response alone. */
  readonly unstored?: boolean;
}

/** When a result stays the same: from the first moment on and before the second, in milliseconds of the epoch. */
export interface FreshnessWindow {
  readonly from: number;
  readonly until: number;
}

export interface ManifestResult {
  readonly manifest: StoredManifest;
  readonly cacheStatus: CacheStatus;
  /** Set for a hit: how long the same request has the same result. */
  readonly fresh?: FreshnessWindow;
}

export interface ManifestHeadResult {
  readonly digest: Digest;
  readonly mediaType: string;
  /** In bytes. */
  readonly size: number;
  readonly cacheStatus: CacheStatus;
}

export type BlobResult =
  | { readonly kind: "stored"; readonly blob: StoredBlob; readonly cacheStatus: CacheStatus }
  | StreamingBlob;

/** A blob that is sent while it is downloaded. */
export interface StreamingBlob {
  readonly kind: "streaming";
  readonly digest: Digest;
  /** In bytes, where it is known. */
  readonly size?: number;
  /** The requested part; absent for the whole blob. */
  readonly range?: ByteRange;
  readonly cacheStatus: CacheStatus;
  body(events: BodyEvents): ReadableStream<Uint8Array>;
}

/** What a streamed body tells whoever sends it. */
export interface BodyEvents {
  /**
   * The body cannot be completed. Its stream then stalls forever instead of failing: an error would
   * reset the connection, on which runtimes give up at once; after a clean close they go on elsewhere.
   */
  readonly giveUp: (fault: Fault) => void;
  /** The reader left, or has received everything; with the number of bytes that it received. */
  readonly ended?: (bytes: number) => void;
}

export interface BlobHeadResult {
  /** In bytes. */
  readonly size: number;
  readonly cacheStatus: CacheStatus;
}
