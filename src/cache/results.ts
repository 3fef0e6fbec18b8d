import type { Digest } from "../oci/digest.ts";
import type { ByteRange } from "../oci/range.ts";
import type { StoredBlob } from "../store/blob-store.ts";
import type { Following } from "./fill/follow.ts";
import type { HeldManifest } from "./lookup/manifest-store.ts";
import type { CacheNote } from "./cache-status.ts";
import type { Fresh } from "./lookup/tag-resolver.ts";

export interface ManifestAnswer {
  readonly manifest: HeldManifest;
  readonly note: CacheNote;
  /** Set for a hit: how long the same question has the same answer. */
  readonly fresh?: Fresh;
}

export interface ManifestHeadAnswer {
  readonly digest: Digest;
  readonly mediaType: string;
  /** In bytes. */
  readonly size: number;
  readonly note: CacheNote;
}

export type BlobAnswer =
  { readonly kind: "stored"; readonly blob: StoredBlob; readonly note: CacheNote } | GrowingBlob;

/** A blob in the middle of its fill. */
export interface GrowingBlob {
  readonly kind: "growing";
  readonly digest: Digest;
  /** In bytes, where it is known. */
  readonly size?: number;
  /** What of it was asked for; absent for all of it. */
  readonly range?: ByteRange;
  readonly note: CacheNote;
  body(following: Pick<Following, "giveUp" | "ended">): ReadableStream<Uint8Array>;
}

export interface BlobHead {
  /** In bytes. */
  readonly size: number;
  readonly note: CacheNote;
}
