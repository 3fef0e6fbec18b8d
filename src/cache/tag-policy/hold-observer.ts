import type { Digest } from "../../oci/digest.ts";
import type { Tag } from "../../oci/names.ts";
import type { RepositoryRef } from "../../store/repository-ref.ts";
import type { Hold } from "./tag-policy.ts";

/** A part of an image that a tag is served with, or the image itself. */
export interface LostPart {
  readonly image: Digest;
  readonly digest: Digest;
}

/** Is told of what is held back. */
export interface HoldObserver {
  /** A tag is served otherwise than its registry says, or not at all. Called for each look-up. */
  held(repo: RepositoryRef, tag: Tag, hold: Hold): void;
  /** Its registry no longer has something that such a tag needs. Called for each request for it. */
  lost(repo: RepositoryRef, tag: Tag, hold: Hold, lost: LostPart): void;
}
