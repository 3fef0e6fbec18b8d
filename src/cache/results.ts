import type { Digest } from "../oci/digest.ts";
import type { Fault } from "../oci/fault.ts";
import type { ByteRange } from "../oci/range.ts";
import type { StoredBlob } from "../store/blob-store.ts";
import type { CacheStatus } from "./cache-status.ts";

/** A verified manifest: its exact bytes, and the Content-Type under which they are served. */
export interface StoredManifest {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The host of the registry or mirror that has just sent it; absent if it was stored, or another replica had it. */
  readonly source?: string;
  /** Set if it could not be stored; the bytes then exist for this response alone. */
  readonly unstored?: boolean;
}

/** While a result stays the same: `from` inclusive, `until` exclusive, in milliseconds since the epoch. */
export interface FreshnessWindow {
  readonly from: number;
  readonly until: number;
}

/** Where a tag points. */
export interface ResolvedTag {
  readonly digest: Digest;
  readonly cacheStatus: CacheStatus;
  /** Set for a hit: while the tag stays fresh. */
  readonly fresh?: FreshnessWindow;
  /** Set if resolving the tag fetched or found its manifest. */
  readonly manifest?: StoredManifest;
}

export interface ManifestResult {
  readonly manifest: StoredManifest;
  readonly cacheStatus: CacheStatus;
  /** Set for a hit: while the same request gives the same result. */
  readonly fresh?: FreshnessWindow;
}

export interface ManifestHeadResult {
  readonly digest: Digest;
  readonly mediaType: string;
  /** In bytes. */
  readonly size: number;
  readonly cacheStatus: CacheStatus;
}

/** `complete`: verified as a whole before the first byte is sent, from the store or from memory. */
export type BlobResult =
  | {
      readonly kind: "complete";
      readonly blob: StoredBlob;
      readonly cacheStatus: CacheStatus;
      /** Set for a hit: while the same request gives the same result. */
      readonly fresh?: FreshnessWindow;
    }
  | StreamingBlob;

/** A blob that is streamed to the client while it is downloaded. */
export interface StreamingBlob {
  readonly kind: "streaming";
  readonly digest: Digest;
  /** In bytes, if known. */
  readonly size?: number;
  /** The requested range; absent for the whole blob. */
  readonly range?: ByteRange;
  readonly cacheStatus: CacheStatus;
  body(events: BodyEvents): ReadableStream<Uint8Array>;
}

/** Callbacks of a streamed body, for the server that sends it. */
export interface BodyEvents {
  /**
   * The body cannot be completed. Its stream then stalls for ever instead of failing, so that the
   * server can close the connection cleanly: a runtime gives up the pull on a reset connection, but
   * goes on with the next mirror after a clean close.
   */
  readonly giveUp: (fault: Fault) => void;
  /** The client left or has received everything; called with the number of bytes that it received. */
  readonly ended?: (bytes: number) => void;
  /** Whether each chunk is copied before the next one is asked for, as Bun's server does. */
  readonly copiesChunks?: boolean;
}

export interface BlobHeadResult {
  /** In bytes. */
  readonly size: number;
  readonly cacheStatus: CacheStatus;
}
