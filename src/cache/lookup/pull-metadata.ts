import type { Access, BlobRecords, Links, Listings, Tags } from "../../store/metadata-store.ts";
import type { TagHistory } from "../../store/tag-history.ts";
import type { Visibility } from "../../store/visibility.ts";

/** The part of the metadata store that the pull path reads and writes. */
export interface StoredPullMetadata {
  readonly tags: Pick<Tags, "get" | "put" | "remove">;
  readonly links: Pick<Links, "get" | "add" | "repositories">;
  readonly blobs: Pick<BlobRecords, "get" | "put">;
  readonly listings: Pick<Listings, "get" | "put">;
  readonly access: Pick<Access, "get" | "put">;
  readonly visibility: Pick<Visibility, "get" | "put" | "publicAmong">;
  readonly tagHistory: Pick<
    TagHistory,
    "of" | "ofEach" | "firstSeen" | "add" | "served" | "tags" | "digests" | "digestSeen"
  >;
}

/** A write that does not fail the pull. Says whether it succeeded, or goes on behind. */
type Attempted<Write extends (...args: never) => Promise<void>> = (
  ...args: Parameters<Write>
) => Promise<boolean>;

/** As `StoredPullMetadata`, with writes that say whether they succeeded. */
export interface PullMetadata {
  readonly tags: StoredPullMetadata["tags"];
  readonly links: Pick<Links, "get" | "repositories"> & { readonly add: Attempted<Links["add"]> };
  readonly blobs: Pick<BlobRecords, "get"> & { readonly put: Attempted<BlobRecords["put"]> };
  readonly listings: Pick<Listings, "get"> & { readonly put: Attempted<Listings["put"]> };
  readonly access: Pick<Access, "get"> & { readonly put: Attempted<Access["put"]> };
  readonly visibility: Pick<Visibility, "get" | "publicAmong"> & {
    readonly put: Attempted<Visibility["put"]>;
  };
  readonly tagHistory: Pick<
    TagHistory,
    "of" | "ofEach" | "firstSeen" | "tags" | "digests" | "digestSeen"
  > & {
    readonly add: Attempted<TagHistory["add"]>;
    readonly served: Attempted<TagHistory["served"]>;
  };
}
