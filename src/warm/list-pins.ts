import { readFileSync } from "node:fs";
import { rename, writeFile } from "node:fs/promises";
import { z } from "zod";
import type { Pinning } from "../cache/retention/pinning.ts";
import { type ImageReference, imageName } from "../oci/image-reference.ts";
import { parseImagePattern } from "../oci/image-pattern.ts";
import { removeFile } from "../store/remove-file.ts";
import { storageFault } from "../store/storage-fault.ts";

/** By list, the patterns that were pinned for it, and when, in milliseconds of the epoch. */
const ownedSchema = z.record(z.string(), z.record(z.string(), z.number()));

/**
 * The pins of the configured lists. Those that a list has no use for any more are taken away; what a person has
 * pinned, before or after, stays.
 */
export class ListPins {
  readonly #file: string;
  readonly #pinning: Pick<Pinning, "pin" | "unpin" | "saved">;
  readonly #now: () => number;
  readonly #owned: Map<string, Map<string, number>>;
  #saved: Promise<void> = Promise.resolve();

  /** @param file in the data directory; one that is missing or damaged says nothing */
  constructor(
    file: string,
    pinning: Pick<Pinning, "pin" | "unpin" | "saved">,
    now: () => number = Date.now,
  ) {
    this.#file = file;
    this.#pinning = pinning;
    this.#now = now;
    this.#owned = read(file);
  }

  /** @throws RefusedError if all pins together are too large; Fault if the file cannot be written */
  async pin(list: string, image: ImageReference, platforms: readonly string[]): Promise<void> {
    const pattern = patternOf(image);
    const pinned = await this.#sinceOf(pattern);
    if (pinned !== undefined && !this.#isOwn(pattern, pinned)) return;
    const since = pinned ?? this.#now();
    await this.#pinning.pin(pattern, platforms, since);
    const owned = this.#owned.get(list) ?? new Map<string, number>();
    owned.set(pattern, since);
    this.#owned.set(list, owned);
    await this.#save();
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
    for (const list of this.#owned.keys()) if (!pinning.has(list)) await this.keepOnly(list, []);
  }

  async #sinceOf(pattern: string): Promise<number | undefined> {
    return (await this.#pinning.saved()).find((pin) => pin.pattern === pattern)?.since;
  }

  #isOwn(pattern: string, since: number): boolean {
    return [...this.#owned.values()].some((owned) => owned.get(pattern) === since);
  }

  /** One write after the other, and beside the file first, so that a crash leaves one that is whole. */
  #save(): Promise<void> {
    this.#saved = this.#saved.catch(() => {}).then(() => this.#write());
    return this.#saved;
  }

  async #write(): Promise<void> {
    const owned = Object.fromEntries(
      Array.from(this.#owned, ([list, patterns]) => [list, Object.fromEntries(patterns)]),
    );
    const next = `${this.#file}.new`;
    try {
      await removeFile(next);
      // Exclusive: as root, it must not be written through somebody's link.
      const options = { mode: 0o600, flag: "wx", flush: true };
      await writeFile(next, `${JSON.stringify(owned)}\n`, options);
      await rename(next, this.#file);
    } catch (error) {
      throw storageFault("record the pins of the lists", error);
    }
  }
}

function patternOf(image: ImageReference): string {
  const name = imageName(image);
  return parseImagePattern(name)?.text ?? name;
}

function read(file: string): Map<string, Map<string, number>> {
  try {
    const lists = ownedSchema.parse(JSON.parse(readFileSync(file, "utf8")));
    return new Map(
      Object.entries(lists).map(([list, patterns]) => [list, new Map(Object.entries(patterns))]),
    );
  } catch {
    return new Map();
  }
}
