import { type ImagePattern, type NamedImage, parseImagePattern } from "../../oci/image-pattern.ts";

/** Each of them is compared with what the ledger says of a tag. */
const MAX_PURGES = 256;

interface RecentPurge {
  readonly pattern: ImagePattern;
  /** In milliseconds of the epoch. */
  readonly at: number;
}

/**
 * The latest purges. What the ledger knows from before a purge says nothing of the images that match it: an
 * operator who purges a tag wants it to be looked up anew.
 */
export class RecentPurges {
  #purges: readonly RecentPurge[] = [];

  add(text: string, at: number): void {
    const pattern = parseImagePattern(text);
    if (!pattern) return;
    const others = this.#purges.filter((other) => other.pattern.text !== pattern.text);
    const before = this.#purges.find((other) => other.pattern.text === pattern.text);
    const latest = { pattern, at: Math.max(at, before?.at ?? at) };
    this.#purges = [...others, latest].slice(-MAX_PURGES);
  }

  /** Whether an image was purged at a moment or later, in milliseconds of the epoch. */
  wasPurgedSince(image: NamedImage, moment: number): boolean {
    return this.#purges.some(({ pattern, at }) => at >= moment && pattern.matches(image));
  }
}
