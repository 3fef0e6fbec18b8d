import type { AgeRule, PolicyRule, VerifyRule } from "../../config/policies/policy-settings.ts";
import type { Tag } from "../../oci/names.ts";
import { latestFirst } from "../../store/override-store.ts";
import type { RepositoryRef } from "../../store/repository-ref.ts";
import type { ParsedOverride } from "./overrides.ts";
import { isSignatureTag } from "./signature-tags.ts";

/** What concerns an image, by rules and overrides as they are. */
export interface Concerning {
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

/**
 * The rules and overrides that may concern something of a repository. A list of its tags looks at few of them for each:
 * there may be a thousand overrides, each of another tag.
 */
export class RepositoryRules {
  readonly #repo: RepositoryRef;
  readonly #rules: readonly PolicyRule[];
  readonly #ofOneTag: ReadonlyMap<string | undefined, readonly ParsedOverride[]>;

  /** What concerns a tag of which nothing else is said. */
  #ofMost: Concerning | undefined;

  constructor(
    repo: RepositoryRef,
    rules: readonly PolicyRule[],
    overrides: Iterable<ParsedOverride>,
  ) {
    this.#repo = repo;
    this.#rules = rules.filter(({ match }) => match.matchesRepository(repo));
    const own = [...overrides]
      .filter(({ pattern }) => pattern.matchesRepository(repo))
      .toSorted(latest);
    this.#ofOneTag = Map.groupBy(own, ({ pattern }) => pattern.tag);
  }

  /** Whether anything but the registry may decide what some tag is. */
  get mayHold(): boolean {
    if (this.#ofOneTag.size > 0) return true;
    return this.#rules.some(({ age, verify }) => {
      return (age?.minAge ?? 0) > 0 || verify?.mode === "enforce";
    });
  }

  /** @param tag absent: what concerns the repository by any of its tags, or its digests */
  of(tag?: Tag): Concerning {
    const isOfSignatures = tag !== undefined && isSignatureTag(tag);
    const rules =
      tag === undefined ? this.#rules : this.#rules.filter(({ match }) => match.matchesTag(tag));
    const overrides = this.#overrides(tag);
    const isOfMost =
      !isOfSignatures && overrides.length === 0 && rules.length === this.#rules.length;
    if (!isOfMost) return concerning({ rules, isOfSignatures, overrides });
    this.#ofMost ??= concerning({ rules, isOfSignatures, overrides });
    return this.#ofMost;
  }

  #overrides(tag: Tag | undefined): readonly ParsedOverride[] {
    const ofMany = (this.#ofOneTag.get(undefined) ?? []).filter(({ pattern }) =>
      concerns(pattern, this.#repo, tag),
    );
    const ofOne = tag === undefined ? undefined : this.#ofOneTag.get(tag);
    return ofOne ? [...ofMany, ...ofOne].toSorted(latest) : ofMany;
  }
}

function latest({ override: one }: ParsedOverride, { override: other }: ParsedOverride): number {
  return latestFirst(one, other);
}

function concerning({
  rules,
  isOfSignatures,
  overrides,
}: {
  readonly rules: readonly PolicyRule[];
  readonly isOfSignatures: boolean;
  readonly overrides: readonly ParsedOverride[];
}): Concerning {
  const ofTag = isOfSignatures ? [] : rules;
  return {
    age: ofTag.find(({ age }) => age)?.age,
    imageAge: rules.find(({ age }) => age)?.age,
    verify: ofTag.find(({ verify }) => verify)?.verify,
    strictAge: rules.find(({ age }) => age?.digests === "hold" && age.minAge > 0)?.age,
    strictVerify: rules.find(({ verify }) => verify?.mode === "enforce")?.verify,
    hidesTags: rules.some(({ age }) => age?.lists === "hide" && age.minAge > 0),
    overrides,
  };
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

/** Of a tag that was never asked for, nothing is old enough. */
export function waitsWhenNew({ minAge, first }: AgeRule): boolean {
  return minAge > 0 && first === "hold";
}
