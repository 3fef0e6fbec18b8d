import type { Tag } from "../../oci/names.ts";
import type { RepositoryRef } from "../../store/repository-ref.ts";
import type { Hold } from "./tag-policy.ts";

/** Is told of what is held back. */
export interface HoldObserver {
  /** A tag is served otherwise than its registry says, or not at all. Called for each look-up. */
  held(repo: RepositoryRef, tag: Tag, hold: Hold): void;
}
