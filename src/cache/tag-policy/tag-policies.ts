import { LRUCache } from "lru-cache";
import type { AgeRule, PolicyRule, VerifyRule } from "../../config/policies/policy-settings.ts";
import type { Digest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import type { Tag } from "../../oci/names.ts";
import { growingTo } from "../../process/growing-to.ts";
import { latestFirst, type Override } from "../../store/override-store.ts";
import type { RepositoryRef } from "../../store/repository-ref.ts";
import type { TagStay } from "../../store/tag-history.ts";
import { type Circumstances, decide, heldDigest, youngDigest } from "./decide.ts";
import { shortDigest } from "./hold-text.ts";
import { isSignatureTag } from "./signature-tags.ts";
import { isActive, type Overrides, type ParsedOverride } from "./overrides.ts";
import type { Hold, TagPlan, TagPolicy } from "./tag-policy.ts";
import { Verdicts } from "./verdicts.ts";
import type { Looking, Verifier } from "./verifier.ts";

/** Of which images it is remembered what concerns them. */
const MAX_IMAGES = 10_000;

export interface TagPoliciesOptions {
  readonly overrides: Overrides;
  /** Absent: no signatures can be verified, and no rule asks for them. */
  readonly verifier?: Verifier | undefined;
  /** The current time, in milliseconds of the epoch. */
  readonly now?: () => number;
}

/** What concerns an image, by rules and overrides as they are. */
interface Concerning {
  readonly age?: AgeRule | undefined;
  readonly verify?: VerifyRule | undefined;
  /** Of an image, also by a tag that is one of signatures, which have no age of their own. */
  readonly imageAge?: AgeRule | undefined;
  /**
   * Of a digest that is asked for by name, it is not known by which tag: rules that hold it count, and none that
   * makes an exception for some tags.
   */
  readonly strictAge?: AgeRule | undefined;
  readonly strictVerify?: VerifyRule | undefined;
  readonly hidesTags: boolean;
  /** The latest first. Also those that have ended by now. */
  readonly overrides: readonly ParsedOverride[];
}

/** The rules of entrepot.yaml and the overrides of operators, as the policy of all tags. */
export class TagPolicies implements TagPolicy {
  readonly #overrides: Overrides;
  readonly #verdicts: Verdicts;
  readonly #now: () => number;
  readonly #concerning = new LRUCache<string, Concerning>(growingTo(MAX_IMAGES));
  #rules: readonly PolicyRule[] = [];
  #configured = 0;
  #known = -1;
  /** Overrides that have ended by themselves since it was opened, and whenever the clock was set back. */
  #ended = 0;
  #looked: { readonly at: number; readonly nextEnd: number; readonly changes: number } | undefined;

  constructor({ overrides, verifier, now = Date.now }: TagPoliciesOptions) {
    this.#overrides = overrides;
    this.#verdicts = new Verdicts(verifier);
    this.#now = now;
  }

  configure(rules: readonly PolicyRule[] = []): void {
    this.#rules = rules;
    this.#configured += 1;
  }

  get revision(): number {
    this.#noteEnds();
    return this.#configured + this.#overrides.revision + this.#ended;
  }

  governs(repo: RepositoryRef, tag: Tag): boolean {
    const { age, imageAge, verify, strictVerify, overrides } = this.#of(repo, tag);
    if (age !== undefined && age.minAge > 0) return true;
    // What is there has to be looked at: it could be an image.
    const isLookedAt = strictVerify !== undefined || (imageAge?.minAge ?? 0) > 0;
    if (isLookedAt && isSignatureTag(tag)) return true;
    if (verify !== undefined && verify.mode !== "off") return true;
    return overrides.some(({ override }) => isActive(override, this.#now()));
  }

  imageHold(repo: RepositoryRef, tag: Tag, digest: Digest, firstSeen: number): Hold | undefined {
    const { imageAge, overrides } = this.#of(repo, tag);
    const now = this.#now();
    const active = overrides.filter(({ override }) => isActive(override, now));
    if (!imageAge || this.#release(active, digest)) return undefined;
    const until = Math.min(firstSeen, now) + imageAge.minAge;
    const name = `${repo.upstream}/${repo.repository}@${digest}`;
    return until <= now ? undefined : youngDigest(name, digest, { age: now - firstSeen, until });
  }

  isFixed(repo: RepositoryRef, tag: Tag): boolean {
    return this.#fixed(this.#of(repo, tag).overrides) !== undefined;
  }

  async plan(
    repo: RepositoryRef,
    tag: Tag,
    stays: readonly TagStay[],
    looking: Looking = "never",
  ): Promise<TagPlan> {
    const { age, verify, overrides } = this.#of(repo, tag);
    const now = this.#now();
    const active = overrides.filter(({ override }) => isActive(override, now));
    const released = (digest: Digest): boolean => this.#release(active, digest) !== undefined;
    const circumstances: Circumstances = {
      image: `${repo.upstream}/${repo.repository}:${tag}`,
      stays,
      rule: age,
      fixed: this.#fixed(active),
      heldBy: (digest) => heldBy(active, digest),
      isReleased: released,
      loggedAt: () => undefined,
      now,
    };
    const logged = await this.#verdicts.loggedAt(repo, stays, { age, verify, now, looking });
    const plan = decide({ ...circumstances, loggedAt: (digest) => logged.get(digest) });
    return { ...plan, until: Math.min(plan.until, ...active.map(endOf)) };
  }

  async signatureHold(
    repo: RepositoryRef,
    digest: Digest,
    tag?: Tag,
    looking: Looking = "wait",
  ): Promise<Hold | undefined> {
    const { overrides, ...rules } = this.#of(repo, tag);
    const verify = tag === undefined ? rules.strictVerify : rules.verify;
    if (!verify || verify.mode === "off") return undefined;
    const active = overrides.filter(({ override }) => isActive(override, this.#now()));
    if (this.#release(active, digest)?.isUnverified) return undefined;
    if (verify.mode === "observe") {
      if (looking !== "never") this.#verdicts.observe(repo, digest, verify);
      return undefined;
    }
    const found = await this.#verdicts.of(repo, digest, verify, looking);
    const name = `${repo.upstream}/${repo.repository}@${shortDigest(digest)}`;
    if (!found) throw new Fault({ kind: "unverifiable", upstream: repo.upstream, name });
    if (found.outcome === "passed") return undefined;
    const advice = `entrepot release ${repo.upstream}/${repo.repository}@${digest} --unverified`;
    return {
      digest,
      because: "unverified",
      text: `${name} is not signed as it must be: ${found.detail}; ${advice}`,
    };
  }

  guards(repo: RepositoryRef): boolean {
    const { overrides } = this.#of(repo);
    return this.holdsUnknown(repo) || overrides.some(({ override }) => override.kind === "hold");
  }

  holdsUnknown(repo: RepositoryRef): boolean {
    const { strictAge, strictVerify } = this.#of(repo);
    return strictAge !== undefined || strictVerify !== undefined;
  }

  digestHold(repo: RepositoryRef, digest: Digest, firstSeen?: number): Hold | undefined {
    const { strictAge, overrides } = this.#of(repo);
    const now = this.#now();
    const active = overrides.filter(({ override }) => isActive(override, now));
    const name = `${repo.upstream}/${repo.repository}@${digest}`;
    const override = heldBy(active, digest);
    if (override) return heldDigest(name, digest, override);
    if (!strictAge || firstSeen === undefined || this.#release(active, digest)) return undefined;
    const until = Math.min(firstSeen, now) + strictAge.minAge;
    return until <= now ? undefined : youngDigest(name, digest, { age: now - firstSeen, until });
  }

  hidesAny(repo: RepositoryRef): boolean {
    return this.#of(repo).hidesTags;
  }

  async hides(repo: RepositoryRef, tag: Tag, stays: readonly TagStay[]): Promise<boolean> {
    const { age } = this.#of(repo, tag);
    if (age?.lists !== "hide" || !this.governs(repo, tag)) return false;
    // Of one that was never asked for, nothing is old enough.
    if (stays.length === 0) return age.first === "hold" && !this.isFixed(repo, tag);
    return (await this.plan(repo, tag, stays)).candidates.length === 0;
  }

  #noteEnds(): void {
    const now = this.#now();
    const { revision: changes } = this.#overrides;
    const looked = this.#looked;
    const isSame = looked?.changes === changes && now >= looked.at && now < looked.nextEnd;
    if (isSame) return;
    if (looked?.changes === changes) this.#ended += 1;
    this.#looked = { at: now, nextEnd: this.#overrides.nextEnd(now), changes };
  }

  /** The override that decides where a tag points: of the tag alone before one of many, and the latest of each. */
  #fixed(overrides: readonly ParsedOverride[]): Override | undefined {
    const now = this.#now();
    const latest = (...kinds: readonly Override["kind"][]): Override | undefined =>
      overrides.find(({ override, pattern }) => {
        return kinds.includes(override.kind) && !pattern.digest && isActive(override, now);
      })?.override;
    return latest("hold", "rollback") ?? latest("freeze");
  }

  #release(active: readonly ParsedOverride[], digest: Digest): Override | undefined {
    const releases = active.filter(({ override, pattern }) => {
      return override.kind === "release" && pattern.digest === digest;
    });
    return (releases.find(({ override }) => override.isUnverified) ?? releases[0])?.override;
  }

  /** @param tag absent: what concerns the repository by any of its tags, or its digests */
  #of(repo: RepositoryRef, tag?: Tag): Concerning {
    if (this.#known !== this.revision) {
      this.#concerning.clear();
      this.#known = this.revision;
    }
    const key = `${repo.upstream}/${repo.repository}:${tag ?? ""}`;
    const known = this.#concerning.get(key);
    if (known) return known;
    const rules = this.#rules.filter(({ match }) =>
      tag === undefined ? match.matchesRepository(repo) : match.matches(repo, tag),
    );
    const ofTag = tag !== undefined && isSignatureTag(tag) ? [] : rules;
    const now = this.#now();
    const concerning: Concerning = {
      age: ofTag.find(({ age }) => age)?.age,
      imageAge: rules.find(({ age }) => age)?.age,
      verify: ofTag.find(({ verify }) => verify)?.verify,
      strictAge: rules.find(({ age }) => age?.digests === "hold" && age.minAge > 0)?.age,
      strictVerify: rules.find(({ verify }) => verify?.mode === "enforce")?.verify,
      hidesTags: rules.some(({ age }) => age?.lists === "hide" && age.minAge > 0),
      overrides: [...this.#overrides.active(now)]
        .filter(({ pattern }) => concerns(pattern, repo, tag))
        .toSorted((one, other) => latestFirst(one.override, other.override)),
    };
    this.#concerning.set(key, concerning);
    return concerning;
  }
}

function concerns(
  pattern: ParsedOverride["pattern"],
  { upstream, repository }: RepositoryRef,
  tag: Tag | undefined,
): boolean {
  const { digest } = pattern;
  const image = { upstream, repository, ...(digest ? { digest } : {}) };
  return pattern.matches(tag === undefined || digest ? image : { ...image, tag });
}

function heldBy(active: readonly ParsedOverride[], digest: Digest): Override | undefined {
  return active.find(
    ({ override, pattern }) => override.kind === "hold" && pattern.digest === digest,
  )?.override;
}

function endOf({ override: { until = Infinity } }: ParsedOverride): number {
  return until;
}
