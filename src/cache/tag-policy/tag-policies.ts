import { LRUCache } from "lru-cache";
import type { PolicyRule } from "../../config/policies/policy-settings.ts";
import type { Digest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import type { Tag } from "../../oci/names.ts";
import { growingTo } from "../../process/growing-to.ts";
import type { Override } from "../../store/override-store.ts";
import type { RepositoryRef } from "../../store/repository-ref.ts";
import type { TagStay } from "../../store/tag-history.ts";
import { type Concerning, RepositoryRules, waitsWhenNew } from "./concerning.ts";
import { decide, heldDigest, youngDigest } from "./decide.ts";
import { shortDigest } from "./hold-text.ts";
import { isSignatureTag } from "./signature-tags.ts";
import { isActive, type Overrides, type ParsedOverride } from "./overrides.ts";
import type { Histories, Hold, TagPlan, TagPolicy } from "./tag-policy.ts";
import { type Judged, Verdicts } from "./verdicts.ts";
import type { Looking, Verifier } from "./verifier.ts";

/** Of which images it is remembered what concerns them. */
const MAX_IMAGES = 10_000;
/** Of which repositories: each may have a thousand overrides of its own. */
const MAX_REPOSITORIES = 100;

export interface TagPoliciesOptions {
  readonly overrides: Overrides;
  /** Absent: no signatures can be verified, and no rule asks for them. */
  readonly verifier?: Verifier | undefined;
  /** The current time, in milliseconds of the epoch. */
  readonly now?: () => number;
}

/** The rules of entrepot.yaml and the overrides of operators, as the policy of all tags. */
export class TagPolicies implements TagPolicy {
  readonly #overrides: Overrides;
  readonly #verdicts: Verdicts;
  readonly #now: () => number;
  readonly #concerning = new LRUCache<string, Concerning>(growingTo(MAX_IMAGES));
  readonly #ofRepository = new LRUCache<string, RepositoryRules>(growingTo(MAX_REPOSITORIES));
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
    return this.#governs(tag, this.#of(repo, tag));
  }

  #governs(tag: Tag, concerning: Concerning): boolean {
    const { age, imageAge, verify, strictVerify, overrides } = concerning;
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
    const concerning = this.#of(repo, tag);
    const { age, verify } = concerning;
    const asked = { age, verify, now: this.#now(), looking };
    const logged = await this.#verdicts.loggedAt(repo, stays, asked);
    return this.#plan(repo, tag, { stays, concerning, logged });
  }

  async knownPlans(repo: RepositoryRef, histories: Histories): Promise<ReadonlyMap<Tag, TagPlan>> {
    const rules = this.#rulesOf(repo);
    const asked = [...histories].map(([tag, stays]) => {
      const concerning = rules.of(tag);
      const { age, verify } = concerning;
      return { tag, stays, concerning, age, verify };
    });
    const logged = await this.#verdicts.loggedByNow(repo, asked, this.#now());
    return new Map(
      asked.map(({ tag, stays, concerning, verify }) => {
        const known = logged.get(verify) ?? new Map<Digest, number>();
        return [tag, this.#plan(repo, tag, { stays, concerning, logged: known })];
      }),
    );
  }

  #plan(
    repo: RepositoryRef,
    tag: Tag,
    {
      stays,
      concerning,
      logged,
    }: Pick<Judged, "stays"> & {
      readonly concerning: Concerning;
      readonly logged: ReadonlyMap<Digest, number>;
    },
  ): TagPlan {
    const now = this.#now();
    const active = concerning.overrides.filter(({ override }) => isActive(override, now));
    const plan = decide({
      image: `${repo.upstream}/${repo.repository}:${tag}`,
      stays,
      rule: concerning.age,
      fixed: this.#fixed(active),
      heldBy: (digest) => heldBy(active, digest),
      isReleased: (digest) => this.#release(active, digest) !== undefined,
      loggedAt: (digest) => logged.get(digest),
      now,
    });
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

  mayHold(repo: RepositoryRef): boolean {
    return this.#rulesOf(repo).mayHold;
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

  hidesByAge(repo: RepositoryRef, tag: Tag, firstSeen: number | undefined): boolean | undefined {
    const { age, verify, overrides } = this.#rulesOf(repo).of(tag);
    if (age?.lists !== "hide") return false;
    if (overrides.length > 0) return undefined;
    if (!waitsWhenNew(age)) return false;
    if (firstSeen === undefined) return true;
    const now = this.#now();
    if (Math.min(firstSeen, now) + age.minAge <= now) return false;
    return verify === undefined || verify.mode === "off" ? true : undefined;
  }

  async hidden(repo: RepositoryRef, histories: Histories): Promise<ReadonlySet<Tag>> {
    const rules = this.#rulesOf(repo);
    const hidden = new Set<Tag>();
    const seen = new Map<Tag, readonly TagStay[]>();
    for (const [tag, stays] of histories) {
      const concerning = rules.of(tag);
      const { age, overrides } = concerning;
      if (age?.lists !== "hide" || !this.#governs(tag, concerning)) continue;
      if (stays.length > 0) seen.set(tag, stays);
      else if (waitsWhenNew(age) && !this.#fixed(overrides)) hidden.add(tag);
    }
    for (const [tag, { candidates }] of await this.knownPlans(repo, seen)) {
      if (candidates.length === 0) hidden.add(tag);
    }
    return hidden;
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
    this.#forgetOnChange();
    const key = `${repo.upstream}/${repo.repository}:${tag ?? ""}`;
    const known = this.#concerning.get(key);
    if (known) return known;
    const concerning = this.#rulesOf(repo).of(tag);
    this.#concerning.set(key, concerning);
    return concerning;
  }

  #rulesOf(repo: RepositoryRef): RepositoryRules {
    this.#forgetOnChange();
    const key = `${repo.upstream}/${repo.repository}`;
    const known = this.#ofRepository.get(key);
    if (known) return known;
    const rules = new RepositoryRules(repo, this.#rules, this.#overrides.active(this.#now()));
    this.#ofRepository.set(key, rules);
    return rules;
  }

  #forgetOnChange(): void {
    const { revision } = this;
    if (this.#known === revision) return;
    this.#concerning.clear();
    this.#ofRepository.clear();
    this.#known = revision;
  }
}

function heldBy(active: readonly ParsedOverride[], digest: Digest): Override | undefined {
  return active.find(
    ({ override, pattern }) => override.kind === "hold" && pattern.digest === digest,
  )?.override;
}

function endOf({ override: { until = Infinity } }: ParsedOverride): number {
  return until;
}
