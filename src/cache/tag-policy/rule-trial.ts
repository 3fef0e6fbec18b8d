import type { PolicyRule } from "../../config/policies/policy-settings.ts";
import type { Digest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import { inParallel } from "../../process/in-parallel.ts";
import { parseImagePattern } from "../../oci/image-pattern.ts";
import { imageName } from "../../oci/image-reference.ts";
import type { History, TagPulls } from "../../store/history-store.ts";
import type { Override } from "../../store/override-store.ts";
import type { TagHistory, TagStay } from "../../store/tag-history.ts";
import type { VerificationStore } from "../../store/verification-store.ts";
import { Overrides } from "./overrides.ts";
import { TagPolicies } from "./tag-policies.ts";
import type { Hold } from "./tag-policy.ts";
import type { TrialVerifier } from "./verifier.ts";

export interface RuleTrialOptions {
  readonly history: Pick<History, "tagPulls" | "tagPullsBegin">;
  readonly tagHistory: Pick<TagHistory, "of">;
  readonly overrides: Pick<Overrides, "all">;
  readonly verifications: Pick<VerificationStore, "get" | "find">;
}

/** What clients would have got for a tag, by other rules. */
export interface TriedPulls {
  readonly image: string;
  /** What they got; absent where the tag was refused. */
  readonly served?: Digest;
  /** What they would have got; absent where the tag would have been refused, or that is not known. */
  readonly would?: Digest;
  readonly outcome: "same" | "other" | "refused" | "unknown";
  /** A sentence without its full stop; absent where nothing is held. */
  readonly why?: string;
  readonly pulls: number;
  /** The last of them, in milliseconds of the epoch. */
  readonly pulledAt: number;
}

export interface TrialReport {
  /** When the log of pulls begins, in milliseconds of the epoch; absent if it is empty. */
  readonly begin?: number;
  /** Whether there were more pulls than are looked at. */
  readonly isCut: boolean;
  readonly all: readonly TriedPulls[];
}

export interface TrialConditions {
  readonly signal?: AbortSignal | undefined;
  /** Absent: signatures are as they are recorded. */
  readonly verifier?: TrialVerifier | undefined;
  readonly onProgress?: ((tags: number, of: number) => void) | undefined;
}

/** How many tags are looked at at once where their registries may be asked. */
const TAGS_AT_ONCE = 8;
/** How many records of the log are looked at: all that are kept. */
const MOST = 50_000;

/**
 * What rules would have done to the pulls since a moment: with what was known then of each tag, the overrides that
 * held then, and the verifications that are recorded, or are made for this. Nothing else is fetched, and whether a
 * digest could still be had is not asked.
 */
export class RuleTrial {
  readonly #options: RuleTrialOptions;

  constructor(options: RuleTrialOptions) {
    this.#options = options;
  }

  /** @throws Fault if the metadata cannot be read */
  async run(
    rules: readonly PolicyRule[],
    since: number,
    { signal, verifier, onProgress }: TrialConditions = {},
  ): Promise<TrialReport> {
    const { history } = this.#options;
    const begin = await history.tagPullsBegin();
    const pulls = await history.tagPulls(since, MOST + 1);
    const tags = [...byTag(pulls.slice(0, MOST))];
    const tried = new Map<string, TriedPulls>();
    const verifying = verifier ?? this.#recorded();
    let done = 0;
    onProgress?.(done, tags.length);
    await inParallel(verifier ? TAGS_AT_ONCE : 1, tags, async (ofTag) => {
      signal?.throwIfAborted();
      for (const one of await this.#tryTag(rules, ofTag, verifying)) addTo(tried, one);
      done += 1;
      onProgress?.(done, tags.length);
    });
    return {
      ...(begin === undefined ? {} : { begin }),
      isCut: pulls.length > MOST,
      all: [...tried.values()].toSorted(mostPulledFirst),
    };
  }

  #recorded(): TrialVerifier {
    const known: TrialVerifier["known"] = (repo, digest, { revision }) =>
      this.#options.verifications.get(repo, digest, revision);
    const knownOf: TrialVerifier["knownOf"] = (repo, digests, { revision }) =>
      this.#options.verifications.find(repo, digests, revision);
    return {
      known,
      knownOf,
      verify: known,
      whyUnknown: () => "its signatures were not verified yet by this rule: --verify does that now",
    };
  }

  async #tryTag(
    rules: readonly PolicyRule[],
    pulls: readonly TagPulls[],
    verifier: TrialVerifier,
  ): Promise<TriedPulls[]> {
    const [first] = pulls;
    if (!first) return [];
    const { repo, tag } = first;
    const stays = await this.#options.tagHistory.of(repo, tag);
    const concerning = this.#options.overrides.all.filter((override) => {
      const pattern = parseImagePattern(override.pattern);
      return stays.some(({ digest }) => pattern?.matches({ ...repo, tag, digest }));
    });
    const tried: TriedPulls[] = [];
    const clock = { now: 0 };
    const policiesBy = async (held: readonly Override[]): Promise<TagPolicies> => {
      const overrides = await Overrides.open({ list: async () => [...held], put: async () => {} });
      const made = new TagPolicies({ overrides, verifier, now: () => clock.now });
      made.configure(rules);
      return made;
    };
    let policies = await policiesBy([]);
    for (const one of pulls) {
      clock.now = one.pulledAt;
      if (concerning.length > 0) policies = await policiesBy(overridesAt(concerning, clock.now));
      tried.push(await tryPulls(policies, one, staysAt(stays, clock.now), verifier));
    }
    return tried;
  }
}

async function tryPulls(
  policies: TagPolicies,
  { repo, tag, digest, pulls, pulledAt }: TagPulls,
  stays: readonly TagStay[],
  verifier: TrialVerifier,
): Promise<TriedPulls> {
  const image = imageName({ ...repo, tag });
  const tried = { image, ...(digest === undefined ? {} : { served: digest }), pulls, pulledAt };
  const [current] = stays;
  const unknown = (why: string): TriedPulls => ({ ...tried, outcome: "unknown", why });
  if (!current) return unknown("it is not known any more what the tag was then");
  if (!policies.governs(repo, tag)) return outcomeOf(tried, current.digest);
  const plan = await policies.plan(repo, tag, stays, "wait");
  let unsigned: Hold | undefined;
  for (const candidate of plan.candidates) {
    try {
      const hold = await policies.signatureHold(repo, candidate.digest, tag);
      if (!hold) return outcomeOf(tried, candidate.digest, unsigned ?? candidate.hold);
      unsigned ??= hold;
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      return unknown(verifier.whyUnknown(repo, candidate.digest));
    }
  }
  const why = reasonOf(unsigned ?? plan.hold);
  const outcome = digest === undefined ? "same" : "refused";
  return { ...tried, outcome, ...(why === undefined ? {} : { why }) };
}

function outcomeOf(tried: Omit<TriedPulls, "outcome">, would: Digest, hold?: Hold): TriedPulls {
  const outcome = would === tried.served ? "same" : "other";
  return { ...tried, would, outcome, ...(hold ? { why: reasonOf(hold) } : {}) };
}

/** Without the advice that ends it: nothing is held yet. */
function reasonOf(hold: Hold): string;
function reasonOf(hold: Hold | undefined): string | undefined;
function reasonOf(hold: Hold | undefined): string | undefined {
  return hold?.text.replace(/; entrepot [^;]*$/, "");
}

/** As the overrides were at a moment. */
function overridesAt(all: readonly Override[], moment: number): readonly Override[] {
  return all
    .filter(({ since, ended }) => since <= moment && (ended === undefined || ended.at > moment))
    .map(({ ended: _ended, ...override }) => override);
}

/** What was known of a tag at a moment. */
function staysAt(all: readonly TagStay[], moment: number): readonly TagStay[] {
  return all.filter(({ firstSeen }) => firstSeen <= moment);
}

/** Records of one tag are next to each other. */
function* byTag(pulls: readonly TagPulls[]): Generator<readonly TagPulls[]> {
  let ofTag: TagPulls[] = [];
  for (const one of pulls) {
    const [first] = ofTag;
    const isSame =
      first?.tag === one.tag &&
      first.repo.repository === one.repo.repository &&
      first.repo.upstream === one.repo.upstream;
    if (first && !isSame) {
      yield ofTag;
      ofTag = [];
    }
    ofTag.push(one);
  }
  if (ofTag.length > 0) yield ofTag;
}

/** Those with the same end are one, and its reason is the one of the last. */
function addTo(tried: Map<string, TriedPulls>, one: TriedPulls): void {
  const key = [one.image, one.served, one.would, one.outcome].join(" ");
  const before = tried.get(key);
  const pulls = one.pulls + (before?.pulls ?? 0);
  tried.set(key, { ...one, pulls, pulledAt: Math.max(one.pulledAt, before?.pulledAt ?? 0) });
}

function mostPulledFirst(one: TriedPulls, other: TriedPulls): number {
  return other.pulls - one.pulls || (one.image < other.image ? -1 : 1);
}
