import type { BlobRecords, Links, Listings, Tags } from "../../store/metadata-store.ts";

/** The part of the metadata store that the pull path reads and writes. */
export interface PullMetadata {
  readonly tags: Pick<Tags, "get" | "put" | "remove">;
  readonly links: Pick<Links, "get" | "add" | "repositories">;
  readonly blobs: Pick<BlobRecords, "get" | "put">;
  readonly listings: Pick<Listings, "get" | "put">;
}
