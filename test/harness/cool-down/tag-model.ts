import type { AgeRule } from "../../../src/config/policies/policy-settings.ts";
import type { Digest } from "../../../src/oci/digest.ts";
import type { Override } from "../../../src/store/override-store.ts";

export interface Seen {
  readonly digest: Digest;
  readonly at: number;
}

/** What of a tag is served, by what can be had of its digests. */
export type Expected = { readonly digest: Digest } | "held" | "fails";

/** How a digest can be had: not at all where its registry says that there is no such thing. */
export type Availability = "stored" | "fetched" | "fails" | "gone";

/**
 * The rules about one tag in their own words: what the cache has seen of it, what operators decided, and what
 * follows from that. It shares no code with the cache, and is written for one tag alone.
 */
export class TagModel {
  rule: AgeRule | undefined;
  readonly overrides = new Map<string, Override>();
  #seen: Seen[] = [];

  /** The registry was seen to say this. */
  see(digest: Digest, at: number): void {
    if (this.#seen.at(-1)?.digest !== digest) this.#seen.push({ digest, at });
  }

  get seen(): readonly Seen[] {
    return this.#seen;
  }

  /** @param hasAnswer whether the registry, or what is recorded, says where the tag points */
  served(
    now: number,
    hasAnswer: boolean,
    availability: (digest: Digest) => Availability,
  ): Expected {
    const isFixed = this.#latest(now, "hold", "rollback", "freeze") !== undefined;
    if (!hasAnswer && !isFixed) return "fails";
    const { normal, last } = this.#isGoverned(now)
      ? this.#order(now)
      : { normal: this.#seen.slice(-1).map(({ digest }) => digest), last: [] };
    let hasFailed = false;
    for (const digest of [...normal, ...last]) {
      const isLast = !normal.includes(digest);
      const state = availability(digest);
      if (hasFailed && (isLast || state !== "stored")) continue;
      if (state === "stored" || state === "fetched") return { digest };
      if (state === "fails") hasFailed = true;
    }
    return hasFailed ? "fails" : "held";
  }

  /** Whether a digest may be served only where those before it are gone. */
  isLastResort(digest: Digest, now: number): boolean {
    return this.#isGoverned(now) && this.#order(now).last.includes(digest);
  }

  /** Whether a digest that the tag was seen to have may be had by its name. */
  mayBeNamed(digest: Digest, now: number): boolean {
    if (this.#isHeld(digest, now)) return false;
    const { rule } = this;
    if (!rule || rule.minAge === 0 || rule.digests === "pass") return true;
    const { normal } = this.#order(now);
    return normal.includes(digest) || this.#isOld(digest, now, now);
  }

  /** Those that may be served, the best one first, and those that may only where these are gone. */
  #order(now: number): { readonly normal: readonly Digest[]; readonly last: readonly Digest[] } {
    const pointing = this.#latest(now, "hold", "rollback");
    if (pointing) {
      const { digest } = pointing;
      return { normal: digest && !this.#isHeld(digest, now) ? [digest] : [], last: [] };
    }
    const asOf = this.#latest(now, "freeze")?.asOf;
    const then = this.#seen.filter(({ at }) => asOf === undefined || at <= asOf);
    const isKnownThen = then.length > 0;
    const moment = isKnownThen ? (asOf ?? now) : now;
    const looked = isKnownThen ? then : this.#seen.slice(0, 1);
    const newest = [...new Set(looked.toReversed().map(({ digest }) => digest))].filter(
      (digest) => !this.#isHeld(digest, now),
    );
    const oldAt = (at: number): Digest[] => newest.filter((digest) => this.#isOld(digest, at, now));
    const old = oldAt(moment).length > 0 ? oldAt(moment) : oldAt(now);
    const earliest = this.#seen
      .map(({ digest }) => digest)
      .filter((digest, index, all) => all.indexOf(digest) === index)
      .filter((digest) => newest.includes(digest) && !old.includes(digest));
    if (this.rule?.first === "hold") return { normal: old, last: [] };
    if (old.length > 0) return { normal: old, last: earliest };
    return { normal: earliest.slice(0, 1), last: earliest.slice(1) };
  }

  /** Else a tag is what its registry says, and nothing is served in its place. */
  #isGoverned(now: number): boolean {
    return (this.rule?.minAge ?? 0) > 0 || this.#active(now).length > 0;
  }

  #isOld(digest: Digest, at: number, now: number): boolean {
    const { rule } = this;
    if (!rule || rule.minAge === 0) return true;
    const isReleased = this.#active(now).some(
      (one) => one.kind === "release" && one.pattern.endsWith(`@${digest}`),
    );
    const first = this.#seen.find((one) => one.digest === digest);
    return isReleased || (first !== undefined && first.at + rule.minAge <= at);
  }

  #isHeld(digest: Digest, now: number): boolean {
    return this.#active(now).some(
      (one) => one.kind === "hold" && one.pattern.endsWith(`@${digest}`),
    );
  }

  #latest(now: number, ...kinds: readonly Override["kind"][]): Override | undefined {
    return this.#active(now)
      .filter(({ kind, pattern }) => kinds.includes(kind) && !pattern.includes("@"))
      .toSorted((one, other) => other.since - one.since)[0];
  }

  #active(now: number): Override[] {
    return [...this.overrides.values()].filter(
      ({ until = Infinity, ended }) => !ended && now < until,
    );
  }
}
