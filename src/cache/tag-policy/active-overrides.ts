import type { Digest } from "../../oci/digest.ts";
import { parseImagePattern } from "../../oci/image-pattern.ts";
import { MAX_OVERRIDES, type Override } from "../../store/override-store.ts";
import type { RepositoryRef } from "../../store/repository-ref.ts";
import { OrderRefused } from "./order-refused.ts";
import { isActive, type Overrides } from "./overrides.ts";

/** What an override decides: not why, nor how long. */
export type Decision = Pick<Override, "kind" | "pattern" | "digest" | "asOf" | "isUnverified">;

/** The overrides that hold at a moment, as far as other ones depend on them. */
export class ActiveOverrides {
  /** The latest first. */
  readonly #all: readonly Override[];

  constructor({ all }: Pick<Overrides, "all">, now: number) {
    this.#all = all.filter((override) => isActive(override, now));
  }

  /**
   * One more would take the place of one that holds.
   *
   * @throws OrderRefused
   */
  mustHaveRoom(): void {
    if (this.#all.length < MAX_OVERRIDES) return;
    const reason = `${MAX_OVERRIDES} overrides hold already, and no more are kept`;
    const next =
      "end those that are not needed any more (entrepot overrides lists them), and give new ones an end (--for 7d)";
    throw new OrderRefused("conflict", reason, next);
  }

  /** Those that give a digest to nobody. */
  holdsOf({ upstream, repository }: RepositoryRef, digest: Digest): readonly Override[] {
    return this.#all.filter(({ kind, pattern }) => {
      const parsed = kind === "hold" ? parseImagePattern(pattern) : undefined;
      return parsed?.digest === digest && parsed.matches({ upstream, repository, digest });
    });
  }

  /** @throws OrderRefused if the same is decided already, without an end, and nothing else since */
  mustNotHave(decision: Decision): void {
    const at = this.#all.findIndex(
      (override) => override.until === undefined && isSame(override, decision),
    );
    const same = this.#all[at];
    if (!same || this.#all.slice(0, at).some((later) => replaces(later, same))) return;
    const reason = `there is such a ${same.kind} of ${same.pattern} already, by ${same.by} (${same.reason})`;
    throw new OrderRefused(
      "conflict",
      reason,
      "nothing has to be done: entrepot overrides shows it",
    );
  }
}

/** Whether the later one of two decides in place of the other: of freezes, for some tags perhaps. */
function replaces(later: Override, earlier: Override): boolean {
  if (earlier.kind === "freeze") return later.kind === "freeze";
  const isOfTag = (one: Override): boolean =>
    one.digest !== undefined && (one.kind === "hold" || one.kind === "rollback");
  return isOfTag(later) && isOfTag(earlier) && later.pattern === earlier.pattern;
}

function isSame(one: Decision, other: Decision): boolean {
  const textOf = ({ pattern }: Decision): string | undefined => parseImagePattern(pattern)?.text;
  return (
    one.kind === other.kind &&
    one.digest === other.digest &&
    one.asOf === other.asOf &&
    (one.isUnverified ?? false) === (other.isUnverified ?? false) &&
    textOf(one) === textOf(other)
  );
}
