import { LRUCache } from "lru-cache";
import { EventLoopYielder } from "../../event-loop/event-loop-yielder.ts";
import { type Digest, parseDigest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import { isImageConfigType } from "../../oci/media-types.ts";
import { growingTo } from "../../process/growing-to.ts";
import type { RepositoryRef } from "../../store/repository-ref.ts";
import { readDescriptors } from "../lookup/referrers-index.ts";
import type { PullMetadata } from "../lookup/pull-metadata.ts";
import type { TagRecords } from "../lookup/tag-records.ts";
import type { Upstream } from "../upstream.ts";
import { shortDigest } from "../tag-policy/hold-text.ts";
import type { Hold, TagPolicy } from "../tag-policy/tag-policy.ts";
import type { Looking } from "../tag-policy/verifier.ts";
import type { StoredManifest } from "../results.ts";
import type { ImageNews } from "./image-news.ts";
import type { ImageTrees } from "./image-trees.ts";
import { ImagesElsewhere } from "./images-elsewhere.ts";

/** Of which digests it is remembered that they may be had. */
const MAX_DIGESTS = 50_000;
/** Of how many of a repository's images the latest ones are looked through. */
const MAX_IMAGES = 5000;
/** Of a longer list of what refers to an image, nothing is let pass, in bytes. */
const MAX_LIST_BYTES = 512 * 1024;
/** By how many of its tags an image is judged. */
const MAX_TAGS = 50;

/** As what a digest is asked for. */
type AskedAs = "manifest" | "blob" | "referrers";

export interface HeldDigestsOptions {
  readonly policy: TagPolicy;
  readonly history: Pick<PullMetadata["tagHistory"], "add" | "digestSeen" | "digests" | "tags">;
  readonly records: Pick<TagRecords, "history">;
  readonly trees: Pick<ImageTrees, "below">;
  /** Absent if this is the only replica. */
  readonly news?: ImageNews | undefined;
  /** Resolves if a manifest is here, or its registry has it. It may throw a `Fault`. */
  readonly find: (upstream: Upstream, repo: RepositoryRef, digest: Digest) => Promise<unknown>;
  /** In milliseconds of the epoch. */
  readonly now: () => number;
}

/**
 * Whether what is asked for by its digest may be had, in repositories where that depends on more than its registry:
 * where digests are held until they are old enough, must be signed, or are held by an operator. There, a manifest
 * may be had that a tag is served with, or that is old enough and signed itself; and what these are made of.
 */
export class HeldDigests {
  readonly #options: HeldDigestsOptions;
  /** Digests that may be had, by repository. */
  readonly #passed = new LRUCache<string, true>(growingTo(MAX_DIGESTS));
  readonly #elsewhere: ImagesElsewhere | undefined;
  #revision = -1;

  constructor(options: HeldDigestsOptions) {
    this.#options = options;
    const { news, history, now } = options;
    this.#elsewhere = news && new ImagesElsewhere({ news, history, now });
  }

  /** A client was given a manifest, and may ask another replica for what it is made of. */
  given(repo: RepositoryRef, manifest: StoredManifest): Promise<void> | undefined {
    return this.#options.policy.guards(repo) ? this.#elsewhere?.given(repo, manifest) : undefined;
  }

  /** A tag is served with this manifest: it may be had by its digest, too. */
  served(repo: RepositoryRef, digest: Digest): void {
    if (this.#options.policy.guards(repo)) this.#pass(repo, digest);
  }

  /**
   * Lets pass what may be had.
   *
   * @param as as what it is asked for: `referrers` if as what others refer to
   * @throws Fault of kind `held`, or `unverifiable`, or `not-found` for a manifest that its registry does not have
   */
  async check(upstream: Upstream, repo: RepositoryRef, digest: Digest, as: AskedAs): Promise<void> {
    const { policy } = this.#options;
    if (!policy.guards(repo)) return;
    if (this.#hasPassed(repo, digest)) return;
    const hold = await this.#holdOf(upstream, repo, digest, as);
    if (hold && !(await this.#passesElsewhere(repo, digest))) {
      const isUnsigned = hold.because === "unverified";
      throw new Fault({ kind: "held", upstream: repo.upstream, text: hold.text, isUnsigned });
    }
    this.#pass(repo, digest);
  }

  /**
   * Lets pass what no operator holds back by its name. Of repositories that bypass the cache, nobody knows what their
   * images are made of.
   *
   * @throws Fault of kind `held`
   */
  checkName(repo: RepositoryRef, digest: Digest): void {
    const hold = this.#options.policy.digestHold(repo, digest);
    if (hold) throw new Fault({ kind: "held", upstream: repo.upstream, text: hold.text });
  }

  /** Signatures, SBOMs and the like of what may be had may be had, too: what is listed as an image may not. */
  async listed(repo: RepositoryRef, index: Blob): Promise<void> {
    if (!this.#options.policy.guards(repo) || index.size > MAX_LIST_BYTES) return;
    const { history, now } = this.#options;
    for (const descriptor of await readDescriptors(await index.text())) {
      const { digest: text, artifactType: type } = descriptor;
      const digest = typeof text === "string" ? parseDigest(text) : undefined;
      if (!digest || typeof type !== "string" || type === "" || isImageConfigType(type)) continue;
      // By it, its blobs are known to belong to something.
      await history.digestSeen(repo, digest, now());
      this.#pass(repo, digest);
    }
  }

  /** Whether an image passes of which other replicas know. What an operator holds back is held at all of them. */
  async #passesElsewhere(repo: RepositoryRef, digest: Digest): Promise<boolean> {
    if (!this.#elsewhere || this.#options.policy.digestHold(repo, digest)) return false;
    return this.#elsewhere.somePass(repo, digest, async (image, seenAt) => {
      return (await this.#imageHold(repo, image, { seenAt })) === undefined;
    });
  }

  async #holdOf(
    upstream: Upstream,
    repo: RepositoryRef,
    digest: Digest,
    as: AskedAs,
  ): Promise<Hold | undefined> {
    const { policy, now } = this.#options;
    const byOperator = policy.digestHold(repo, digest);
    if (byOperator) return byOperator;
    const parents = await this.#parents(repo, digest);
    let held: Hold | undefined;
    let failure: Fault | undefined;
    for (const parent of parents) {
      try {
        const hold = await this.#imageHold(repo, parent, { looking: failure ? "never" : "wait" });
        if (!hold) return undefined;
        held ??= hold;
      } catch (error) {
        if (!(error instanceof Fault)) throw error;
        // One that cannot be verified now says nothing of the others.
        failure ??= error;
      }
    }
    if (as !== "blob") {
      // Where it would be held until it is old enough, its age begins when its registry is seen to have it.
      const young = policy.digestHold(repo, digest, now());
      const isThere = !young || (await this.#isThere(upstream, repo, digest, as));
      const looking = failure ? "never" : "wait";
      const own = isThere ? await this.#imageHold(repo, digest, { looking }) : young;
      if (own && failure) throw failure;
      return own;
    }
    if (failure) throw failure;
    if (held) return held;
    // Nothing that is known here is made of it.
    if (!policy.holdsUnknown(repo)) return undefined;
    const name = `${repo.upstream}/${repo.repository}@${shortDigest(digest)}`;
    return {
      digest,
      because: "too-young",
      text: `${name} belongs to no image that may be had of this repository`,
    };
  }

  /** Whether a manifest was ever there: who asks for it before it is pushed must not make it older. */
  async #isThere(
    upstream: Upstream,
    repo: RepositoryRef,
    digest: Digest,
    as: AskedAs,
  ): Promise<boolean> {
    const { history, find } = this.#options;
    if ((await history.tags(repo, 1, digest)).length > 0) return true;
    try {
      await find(upstream, repo, digest);
      return true;
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      // Of what is not there, a registry may list what refers to it.
      if (error.detail.kind === "not-found" && as === "manifest") throw error;
      return false;
    }
  }

  /** Why an image must not be had by its digest; `undefined` if it may. */
  async #imageHold(
    repo: RepositoryRef,
    digest: Digest,
    { seenAt = Infinity, looking = "wait" }: { seenAt?: number; looking?: Looking } = {},
  ): Promise<Hold | undefined> {
    const { policy, history, records, now } = this.#options;
    if (this.#hasPassed(repo, digest)) return undefined;
    const byOperator = policy.digestHold(repo, digest);
    if (byOperator) return byOperator;
    for (const tag of await history.tags(repo, MAX_TAGS, digest)) {
      const plan = await policy.plan(repo, tag, await records.history(repo, tag), looking);
      const isCandidate = plan.candidates.some((one) => one.digest === digest && !one.isLastResort);
      if (isCandidate && !(await policy.signatureHold(repo, digest, tag, looking))) {
        this.#pass(repo, digest);
        return undefined;
      }
    }
    const firstSeen = Math.min(seenAt, await history.digestSeen(repo, digest, now()));
    const hold =
      policy.digestHold(repo, digest, firstSeen) ??
      (await policy.signatureHold(repo, digest, undefined, looking));
    if (!hold) this.#pass(repo, digest);
    return hold;
  }

  /** The images of the repository that are made of a digest, as far as they are known here: the latest first. */
  async #parents(repo: RepositoryRef, digest: Digest): Promise<Digest[]> {
    const { history, trees } = this.#options;
    const yielder = new EventLoopYielder();
    const parents: Digest[] = [];
    for (const image of await history.digests(repo, MAX_IMAGES)) {
      await yielder.pause();
      if (image !== digest && (await trees.below(repo, image)).has(digest)) parents.push(image);
    }
    return parents;
  }

  #hasPassed(repo: RepositoryRef, digest: Digest): boolean {
    this.#forgetOnChange();
    return this.#passed.has(keyOf(repo, digest));
  }

  #pass(repo: RepositoryRef, digest: Digest): void {
    this.#forgetOnChange();
    this.#passed.set(keyOf(repo, digest), true);
  }

  /** What passed by other rules is looked at again. */
  #forgetOnChange(): void {
    const { revision } = this.#options.policy;
    if (this.#revision === revision) return;
    this.#passed.clear();
    this.#revision = revision;
  }
}

function keyOf({ upstream, repository }: RepositoryRef, digest: Digest): string {
  return `${upstream}/${repository}@${digest}`;
}
