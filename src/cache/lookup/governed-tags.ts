import { LRUCache } from "lru-cache";
import type { Digest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import type { Tag } from "../../oci/names.ts";
import { growingTo } from "../../process/growing-to.ts";
import type { RepositoryRef } from "../../store/repository-ref.ts";
import type { TagStay } from "../../store/tag-history.ts";
import type { FreshnessWindow, ManifestResult, ResolvedTag } from "../results.ts";
import { shortDigest } from "../tag-policy/hold-text.ts";
import type { HoldObserver } from "../tag-policy/hold-observer.ts";
import { isNoImage, isSignatureTag } from "../tag-policy/signature-tags.ts";
import type { Candidate, Hold, TagPlan, TagPolicy } from "../tag-policy/tag-policy.ts";
import { EarlyVerdict } from "./early-verdict.ts";
import { keyOf } from "./manifest-store.ts";
import type { PullMetadata } from "./pull-metadata.ts";
import { stayOfAges, type TagNews } from "./tag-news.ts";
import type { TagRecords } from "./tag-records.ts";

/** Of which tags it is remembered that other replicas were asked. */
const MAX_TAGS = 10_000;

export interface GovernedTagsOptions {
  readonly policy: TagPolicy;
  readonly records: Pick<TagRecords, "history">;
  readonly history: Pick<PullMetadata["tagHistory"], "add">;
  /** Absent if this is the only replica. */
  readonly news?: TagNews | undefined;
  readonly observer?: HoldObserver | undefined;
  /** A tag is served with a digest. */
  readonly onServed: (repo: RepositoryRef, digest: Digest) => void;
  readonly now: () => number;
}

/** How a tag, and its digests, are looked up. Each of these may throw a `Fault`. */
export interface TagLookups {
  /** @param onNamed called with what the registry says, before the tag is resolved; perhaps not at all */
  resolve(onNamed: (digest: Digest) => void): Promise<ResolvedTag>;
  /** The manifest of what the registry says. */
  current(resolved: ResolvedTag): Promise<ManifestResult>;
  byDigest(digest: Digest): Promise<ManifestResult>;
  isStored(digest: Digest): Promise<boolean>;
}

/** Tags that are not simply what their registry says: a policy chooses among the digests that they have had. */
export class GovernedTags {
  readonly #options: GovernedTagsOptions;
  /** By tag, with which digest others were asked for its history. */
  readonly #asked = new LRUCache<string, Digest>(growingTo(MAX_TAGS));

  constructor(options: GovernedTagsOptions) {
    this.#options = options;
  }

  has(repo: RepositoryRef, tag: Tag): boolean {
    return this.#options.policy.governs(repo, tag);
  }

  /** @throws Fault; of kind `held` if nothing may be served */
  async manifest(repo: RepositoryRef, tag: Tag, lookups: TagLookups): Promise<ManifestResult> {
    const { policy, observer, onServed } = this.#options;
    const verdict = new EarlyVerdict(policy, repo, tag);
    const resolved = await this.#resolve(repo, tag, () =>
      lookups.resolve((digest) => verdict.begin(digest)),
    );
    const stays = await this.#stays(repo, tag, resolved?.digest);
    const plan = await policy.plan(repo, tag, stays, "wait");
    const search = new Search({ repo, tag, stays, policy, verdict });
    for (const candidate of plan.candidates) {
      const found = await search.try(candidate, lookups, resolved);
      if (!found) continue;
      const { hold, result } = found;
      if (hold) observer?.held(repo, tag, hold);
      onServed(repo, result.manifest.digest);
      return bounded(result, { told: hold?.text ?? search.missing, resolved, plan });
    }
    const { failure } = search;
    if (failure) throw failure;
    const hold = search.hold ?? plan.hold;
    if (hold) observer?.held(repo, tag, hold);
    const text = `${repo.upstream}/${repo.repository}:${tag} has no digest that may be served and can still be had`;
    throw new Fault({
      kind: "held",
      upstream: repo.upstream,
      text: hold?.text ?? text,
      isUnsigned: hold?.because === "unverified",
    });
  }

  /** With which digest the tag would be served if that can be had, by what is known here. Nobody is asked. */
  async digest(repo: RepositoryRef, tag: Tag): Promise<Digest | undefined> {
    const { policy, records } = this.#options;
    const plan = await policy.plan(repo, tag, await records.history(repo, tag));
    return plan.candidates[0]?.digest;
  }

  /** `undefined`: its registry says nothing, and an operator has decided where the tag points. */
  async #resolve(
    repo: RepositoryRef,
    tag: Tag,
    resolve: () => Promise<ResolvedTag>,
  ): Promise<ResolvedTag | undefined> {
    try {
      return await resolve();
    } catch (error) {
      if (!(error instanceof Fault) || !this.#options.policy.isFixed(repo, tag)) throw error;
      return undefined;
    }
  }

  /** What the tag has had, with what other replicas know of that. */
  async #stays(repo: RepositoryRef, tag: Tag, current: Digest | undefined): Promise<TagStay[]> {
    const { records, news, now } = this.#options;
    const own = await records.history(repo, tag);
    // What cannot be written down is new each time.
    const stays =
      current === undefined || own[0]?.digest === current
        ? own
        : [{ digest: current, firstSeen: now(), lastSeen: now() }, ...own];
    const key = keyOf(repo, tag);
    if (!news || current === undefined || this.#asked.get(key) === current) return stays;
    const told = await news.history(repo, tag);
    if (!told) return stays;
    this.#asked.set(key, current);
    const at = now();
    const others = told.map((stay) => stayOfAges(stay, at));
    if (others.length === 0) return stays;
    await this.#options.history.add(repo, tag, others);
    const merged = await records.history(repo, tag);
    return merged[0]?.digest === current ? merged : [...stays.slice(0, 1), ...merged];
  }
}

interface Found {
  readonly result: ManifestResult;
  readonly hold: Hold | undefined;
}

interface SearchOptions {
  readonly repo: RepositoryRef;
  readonly tag: Tag;
  readonly stays: readonly TagStay[];
  readonly policy: TagPolicy;
  readonly verdict: EarlyVerdict;
}

/** Goes through the candidates of a plan. */
class Search {
  readonly #repo: RepositoryRef;
  readonly #tag: Tag;
  readonly #policy: TagPolicy;
  readonly #stays: readonly TagStay[];
  readonly #verdict: EarlyVerdict;
  /** Why a candidate cannot be had now; absent where all of them are gone, or held. */
  failure: Fault | undefined;
  /** Why the best candidate is not served. */
  hold: Hold | undefined;
  /** What is told where the best candidate cannot be had, whatever its age is. */
  missing: string | undefined;

  constructor({ repo, tag, stays, policy, verdict }: SearchOptions) {
    this.#repo = repo;
    this.#tag = tag;
    this.#stays = stays;
    this.#verdict = verdict;
    this.#policy = policy;
  }

  /** `undefined` if another one has to be tried. */
  async try(
    { digest, hold, isLastResort }: Candidate,
    lookups: TagLookups,
    resolved: ResolvedTag | undefined,
  ): Promise<Found | undefined> {
    // A registry that merely fails is no reason to serve what is too young, or to ask it for more.
    if (this.failure && (isLastResort || !(await lookups.isStored(digest)))) return undefined;
    try {
      // While signatures are looked for, the manifest is fetched: most are signed as they must be.
      const getting =
        resolved?.digest === digest ? lookups.current(resolved) : lookups.byDigest(digest);
      getting.catch(() => {});
      // Whoever waits for one that cannot be found out does not wait for the next one as well.
      const unsigned = await this.#verdict.of(digest, this.failure ? "behind" : "wait");
      if (unsigned) {
        this.hold ??= unsigned;
        return undefined;
      }
      const result = await getting;
      const disguised = await this.#disguised(result);
      if (disguised) {
        this.hold ??= disguised;
        return undefined;
      }
      return { result, hold: hold ?? this.#insteadOf(digest) };
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      const isGone = error.detail.kind === "not-found";
      if (!isGone) this.failure ??= error;
      const image = `${this.#repo.upstream}/${this.#repo.repository}:${this.#tag}`;
      const why = isGone ? "its registry no longer has" : "its registry does not give now";
      this.missing ??= `${image} is ${shortDigest(digest)}, which ${why}, this is an earlier digest; entrepot history ${image}`;
      return undefined;
    }
  }

  /** Why an image must not be served by a tag that is one of signatures. */
  async #disguised({ manifest }: ManifestResult): Promise<Hold | undefined> {
    if (!isSignatureTag(this.#tag) || isNoImage(manifest.bytes)) return undefined;
    const { digest } = manifest;
    const seen = this.#stays.filter((stay) => stay.digest === digest);
    const firstSeen = Math.min(...seen.map((stay) => stay.firstSeen));
    const young = this.#policy.imageHold(this.#repo, this.#tag, digest, firstSeen);
    return young ?? (await this.#policy.signatureHold(this.#repo, digest));
  }

  /** What is told of a digest that is served since a later one is not signed as it must be. */
  #insteadOf(digest: Digest): Hold | undefined {
    if (!this.hold || this.hold.digest === digest) return undefined;
    return { ...this.hold, text: `${this.hold.text}; this is the digest before` };
  }
}

/** A result with what is to be said of it, and for as long as nothing of it changes. */
function bounded(
  { fresh, ...result }: ManifestResult,
  {
    told,
    resolved,
    plan,
  }: {
    readonly told: string | undefined;
    readonly resolved: ResolvedTag | undefined;
    readonly plan: TagPlan;
  },
): ManifestResult {
  // What the tag is now is not known then, whichever digest is served.
  const isStale = resolved?.cacheStatus.result === "stale";
  const status = isStale ? resolved.cacheStatus : result.cacheStatus;
  const cacheStatus = told === undefined ? status : { ...status, held: told };
  const until = Math.min(fresh?.until ?? 0, resolved?.fresh?.until ?? 0, plan.until);
  const from = Math.max(fresh?.from ?? 0, resolved?.fresh?.from ?? 0);
  const window: FreshnessWindow | undefined = fresh && resolved?.fresh && { from, until };
  return { ...result, cacheStatus, ...(window ? { fresh: window } : {}) };
}
