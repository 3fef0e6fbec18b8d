import { z } from "zod";
import type { Pinning } from "../cache/retention/pinning.ts";
import { type ImageReference, imageName } from "../oci/image-reference.ts";
import { parseImagePattern } from "../oci/image-pattern.ts";
import type { Pin } from "../store/metadata-store.ts";
import type { StateFile } from "./state-file.ts";

/** By list, the patterns that were pinned for it, and when, in milliseconds of the epoch. */
const ownedSchema = z.record(z.string(), z.record(z.string(), z.number()));

/**
 * The pins of the configured lists. Those that a list has no use for any more are taken away; what a person has
 * pinned, before or after, stays.
 */
export class ListPins {
  readonly #file: StateFile;
  readonly #pinning: Pick<Pinning, "pin" | "unpin" | "saved">;
  readonly #now: () => number;
  readonly #owned: Map<string, Map<string, number>>;
  /** The lists that pin, once they are known: one that is gone may still be being warmed. */
  #lists: ReadonlySet<string> | undefined;

  /** @param file one that is missing or damaged says nothing */
  constructor(
    file: StateFile,
    pinning: Pick<Pinning, "pin" | "unpin" | "saved">,
    now: () => number = Date.now,
  ) {
    this.#file = file;
    this.#pinning = pinning;
    this.#now = now;
    this.#owned = parse(file.read());
  }

  /** @throws RefusedError if all pins together are too large; Fault if the file cannot be written */
  async pin(list: string, image: ImageReference, platforms: readonly string[]): Promise<void> {
    if (this.#isGone(list)) return;
    const pattern = patternOf(image);
    const pinned = await this.#sinceOf(pattern);
    if (pinned !== undefined && !this.#isOwn(pattern, pinned)) return;
    const since = pinned ?? this.#now();
    await this.#pinning.pin(pattern, platforms, since);
    const owned = this.#owned.get(list) ?? new Map<string, number>();
    owned.set(pattern, since);
    this.#owned.set(list, owned);
    await this.#save();
    if (this.#isGone(list)) await this.keepOnly(list, []);
  }

  /** Takes away what was pinned for a list and is none of these images. */
  async keepOnly(list: string, images: readonly ImageReference[]): Promise<void> {
    const kept = new Set(images.map(patternOf));
    const owned = this.#owned.get(list) ?? new Map<string, number>();
    for (const [pattern, since] of owned) {
      if (kept.has(pattern)) continue;
      owned.delete(pattern);
      if (owned.size === 0) this.#owned.delete(list);
      // Another list may want it, and a person may have pinned it since.
      const isOthers = this.#isOwn(pattern, since);
      if (!isOthers && (await this.#sinceOf(pattern)) === since) await this.#pinning.unpin(pattern);
      await this.#save();
    }
  }

  /** Takes away what was pinned for lists that are gone, or that pin nothing any more. */
  async configure(pinning: ReadonlySet<string>): Promise<void> {
    this.#lists = pinning;
    for (const list of this.#owned.keys()) if (!pinning.has(list)) await this.keepOnly(list, []);
  }

  /** The lists for which a pin was made. Of one that a person has made, none. */
  listsOf({ pattern, since }: Pick<Pin, "pattern" | "since">): string[] {
    return Array.from(this.#owned)
      .filter(([, patterns]) => patterns.get(pattern) === since)
      .map(([list]) => list);
  }

  #isGone(list: string): boolean {
    return this.#lists?.has(list) === false;
  }

  async #sinceOf(pattern: string): Promise<number | undefined> {
    return (await this.#pinning.saved()).find((pin) => pin.pattern === pattern)?.since;
  }

  #isOwn(pattern: string, since: number): boolean {
    return this.listsOf({ pattern, since }).length > 0;
  }

  #save(): Promise<void> {
    return this.#file.write(() =>
      Object.fromEntries(
        Array.from(this.#owned, ([list, patterns]) => [list, Object.fromEntries(patterns)]),
      ),
    );
  }
}

function patternOf(image: ImageReference): string {
  const name = imageName(image);
  return parseImagePattern(name)?.text ?? name;
}

function parse(value: unknown): Map<string, Map<string, number>> {
  const { data = {} } = ownedSchema.safeParse(value);
  return new Map(
    Object.entries(data).map(([list, patterns]) => [list, new Map(Object.entries(patterns))]),
  );
}
