import type { Digest } from "../../oci/digest.ts";
import type { Tag } from "../../oci/names.ts";
import type { RepositoryRef } from "../../store/repository-ref.ts";
import type { Hold, TagPolicy } from "../tag-policy/tag-policy.ts";
import type { Looking } from "../tag-policy/verifier.ts";

interface Begun {
  readonly digest: Digest;
  readonly revision: number;
  readonly hold: Promise<Hold | undefined>;
}

/**
 * Whether a tag's digest is signed as it must be. That is looked for as soon as the registry has named the digest,
 * while its manifest is still received, or stored: what is asked for later is most often known then.
 */
export class EarlyVerdict {
  readonly #policy: Pick<TagPolicy, "revision" | "isFixed" | "signatureHold">;
  readonly #repo: RepositoryRef;
  readonly #tag: Tag;
  #begun: Begun | undefined;

  constructor(
    policy: Pick<TagPolicy, "revision" | "isFixed" | "signatureHold">,
    repo: RepositoryRef,
    tag: Tag,
  ) {
    this.#policy = policy;
    this.#repo = repo;
    this.#tag = tag;
  }

  /** The registry says that this is what the tag is. */
  begin(digest: Digest): void {
    // Where an operator has decided what the tag is, this digest need not be the one that is served.
    if (this.#begun?.digest === digest || this.#policy.isFixed(this.#repo, this.#tag)) return;
    const { revision } = this.#policy;
    const hold = this.#policy.signatureHold(this.#repo, digest, this.#tag);
    // Nobody may ask for it any more.
    hold.catch(() => {});
    this.#begun = { digest, revision, hold };
  }

  /**
   * Why a digest must not be served, by rules and overrides as they are now.
   *
   * @param looking unless that has begun
   * @throws Fault
   */
  of(digest: Digest, looking: Looking): Promise<Hold | undefined> {
    const begun = this.#begun;
    const holds = begun?.digest === digest && begun.revision === this.#policy.revision;
    return holds ? begun.hold : this.#policy.signatureHold(this.#repo, digest, this.#tag, looking);
  }
}
