import type { Digest } from "../oci/digest.ts";
import type { ByteRange } from "../oci/range.ts";
import type { StoredBlob } from "../store/blob-store.ts";
import type { FollowOptions } from "./fill/follow.ts";
import type { StoredManifest } from "./lookup/manifest-store.ts";
import type { CacheStatus } from "./cache-status.ts";
import type { FreshnessWindow } from "./lookup/tag-resolver.ts";

export interface ManifestResult {
  readonly manifest: StoredManifest;
  readonly cacheStatus: CacheStatus;
  /** Set for a hit: how long the same question has the same answer. */
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

/** A blob in the middle of its fill. */
export interface StreamingBlob {
  readonly kind: "growing";
  readonly digest: Digest;
  /** In bytes, where it is known. */
  readonly size?: number;
  /** What of it was asked for; absent for all of it. */
  readonly range?: ByteRange;
  readonly cacheStatus: CacheStatus;
  body(following: Pick<FollowOptions, "giveUp" | "ended">): ReadableStream<Uint8Array>;
}

export interface BlobHeadResult {
  /** In bytes. */
  readonly size: number;
  readonly cacheStatus: CacheStatus;
}
