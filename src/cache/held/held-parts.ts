import { LRUCache } from "lru-cache";
import { EventLoopYielder } from "../../event-loop/event-loop-yielder.ts";
import type { Digest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import type { Tag } from "../../oci/names.ts";
import { growingTo } from "../../process/growing-to.ts";
import type { RepositoryRef } from "../../store/repository-ref.ts";
import type { PullMetadata } from "../lookup/pull-metadata.ts";
import type { TagRecords } from "../lookup/tag-records.ts";
import type { HoldObserver } from "../tag-policy/hold-observer.ts";
import type { Hold, TagPolicy } from "../tag-policy/tag-policy.ts";
import type { ImageTrees } from "./image-trees.ts";

/** How many of a repository's tags are looked through. */
const MAX_TAGS = 1000;
/** Of how many repositories it is remembered what their tags are served with, and for how long, in milliseconds. */
const MAX_REPOSITORIES = 100;
const REMEMBERED_MS = 5000;

export interface HeldPartsOptions {
  readonly policy: TagPolicy;
  readonly history: Pick<PullMetadata["tagHistory"], "tags">;
  readonly records: Pick<TagRecords, "history">;
  readonly trees: Pick<ImageTrees, "below">;
  readonly observer?: HoldObserver | undefined;
  /** In milliseconds of the epoch. */
  readonly now: () => number;
}

/** A digest that a tag is served with in place of what its registry says. */
interface Instead {
  readonly tag: Tag;
  readonly image: Digest;
  readonly hold: Hold;
}

/**
 * What the images are made of that tags are served with in place of what their registries say. The registry may have
 * deleted some of it: its answer stays what it is, and says to what it belongs, and what to do. Nothing else is
 * served in its place, or whoever can delete at the registry would decide when a new digest is old enough.
 */
export class HeldParts {
  readonly #options: HeldPartsOptions;
  readonly #instead: LRUCache<string, readonly Instead[]>;

  constructor(options: HeldPartsOptions) {
    this.#options = options;
    this.#instead = new LRUCache({
      ...growingTo(MAX_REPOSITORIES),
      ttl: REMEMBERED_MS,
      perf: { now: options.now },
      ttlResolution: 0,
    });
  }

  /** What is told of an error with which a manifest or blob was asked for by its digest. */
  async told(repo: RepositoryRef, digest: Digest, error: unknown): Promise<unknown> {
    if (!(error instanceof Fault) || error.detail.kind !== "not-found") return error;
    const [found] = await this.#imagesWith(repo, digest).catch(orNone);
    if (!found) return error;
    const { tag, image, hold } = found;
    this.#options.observer?.lost(repo, tag, hold, { image, digest });
    const name = `${repo.upstream}/${repo.repository}:${tag}`;
    const neededBy = { image: name, digest: image, text: hold.text };
    return new Fault({ ...error.detail, neededBy }, { cause: error });
  }

  /** None or one. */
  async #imagesWith(repo: RepositoryRef, digest: Digest): Promise<Instead[]> {
    const { policy, trees } = this.#options;
    if (!policy.mayHold(repo)) return [];
    const yielder = new EventLoopYielder();
    for (const instead of await this.#all(repo)) {
      await yielder.pause();
      const { image } = instead;
      if (image === digest || (await trees.below(repo, image)).has(digest)) return [instead];
    }
    return [];
  }

  async #all(repo: RepositoryRef): Promise<readonly Instead[]> {
    const { policy, history } = this.#options;
    const key = `${policy.revision} ${repo.upstream}/${repo.repository}`;
    const known = this.#instead.get(key);
    if (known) return known;
    const yielder = new EventLoopYielder();
    const all: Instead[] = [];
    for (const tag of await history.tags(repo, MAX_TAGS)) {
      await yielder.pause();
      if (policy.governs(repo, tag)) all.push(...(await this.#ofTag(repo, tag).catch(orNone)));
    }
    this.#instead.set(key, all);
    return all;
  }

  /** Those that a tag may be served with before what its registry says, or since that is not signed as it must be. */
  async #ofTag(repo: RepositoryRef, tag: Tag): Promise<Instead[]> {
    const { policy, records } = this.#options;
    const stays = await records.history(repo, tag);
    const { candidates } = await policy.plan(repo, tag, stays);
    const instead: Instead[] = [];
    let unsigned: Hold | undefined;
    for (const { digest, hold, isLastResort } of candidates) {
      if (isLastResort) break;
      // Nothing is looked for: with what it is served was found out when it was.
      const failed = await policy.signatureHold(repo, digest, tag, "never");
      unsigned ??= failed;
      if (failed) continue;
      const why = hold ?? unsigned;
      if (!why) break;
      instead.push({ tag, image: digest, hold: why });
    }
    return instead;
  }
}

/** Of what cannot be found out, nothing is told. */
function orNone(failure: unknown): Instead[] {
  if (!(failure instanceof Fault)) throw failure;
  return [];
}
