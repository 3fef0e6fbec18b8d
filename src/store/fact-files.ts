import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { type Digest, digestAlgorithm, digestHex, parseDigest } from "../oci/digest.ts";
import { parseRepositoryName, parseTag, parseUpstreamName, type Tag } from "../oci/names.ts";
import type { Pin, Place } from "./index.ts";
import { storageFault } from "./storage-fault.ts";

/** What is kept beside a manifest, so that the index can be made again without asking anybody. */
export interface ManifestFacts {
  readonly mediaType: string;
  readonly places: readonly PlaceFacts[];
}

export interface PlaceFacts {
  readonly place: Place;
  /** When each of the tags was last seen to point here, in milliseconds of the epoch. */
  readonly tags: ReadonlyMap<Tag, number>;
}

const factsForm = z.object({
  mediaType: z.string(),
  places: z.array(
    z.object({
      upstream: z.string(),
      repository: z.string(),
      tags: z.record(z.string(), z.number()),
    }),
  ),
});
const pinsForm = z.array(
  z.object({ pattern: z.string(), platforms: z.array(z.string()), since: z.number() }),
);

/**
 * Small files below `facts/`: one per manifest, and one for all pins. They are written when something
 * new is learnt and not with each pull; the index is what is asked.
 */
export class FactFiles {
  readonly #directory: string;
  /** Writing per digest goes one after the other. As many as are being written. */
  readonly #writing = new Map<Digest, Promise<void>>();
  #number = 0;

  constructor(directory: string) {
    this.#directory = join(directory, "facts");
  }

  /** Removes what a process that was killed has left half-written. */
  async open(): Promise<void> {
    await rm(join(this.#directory, "writing"), { recursive: true, force: true }).catch(() => {});
  }

  /** Remembers that a manifest may be seen at a place, and under a tag of it. */
  async remember(
    digest: Digest,
    fact: { mediaType: string; place: Place; tag?: Tag; at: number },
  ): Promise<void> {
    const before = this.#writing.get(digest) ?? Promise.resolve();
    const writing = before.catch(() => {}).then(() => this.#merge(digest, fact));
    this.#writing.set(digest, writing);
    try {
      await writing;
    } finally {
      if (this.#writing.get(digest) === writing) this.#writing.delete(digest);
    }
  }

  /** `undefined` where there is none, or none that can be read. */
  async read(digest: Digest): Promise<ManifestFacts | undefined> {
    const text = await readFile(this.#path(digest), "utf8").catch(() => "");
    const parsed = factsForm.safeParse(json(text));
    if (!parsed.success) return undefined;
    const places = parsed.data.places.flatMap((entry) => {
      const upstream = parseUpstreamName(entry.upstream);
      const repository = parseRepositoryName(entry.repository);
      if (!upstream || !repository) return [];
      const tags = Object.entries(entry.tags).flatMap(([name, at]): [Tag, number][] => {
        const tag = parseTag(name);
        return tag ? [[tag, at]] : [];
      });
      return [{ place: { upstream, repository }, tags: new Map(tags) }];
    });
    return { mediaType: parsed.data.mediaType, places };
  }

  /** Every manifest of which facts are kept. */
  async *digests(): AsyncGenerator<Digest> {
    for (const algorithm of ["sha256", "sha512"] as const) {
      const top = join(this.#directory, algorithm);
      for (const folder of await readdir(top).catch(() => [])) {
        for (const name of await readdir(join(top, folder)).catch(() => [])) {
          const digest = parseDigest(`${algorithm}:${name.replace(/\.json$/, "")}`);
          if (digest) yield digest;
        }
      }
    }
  }

  forget(digest: Digest): Promise<void> {
    return rm(this.#path(digest), { force: true });
  }

  savePins(pins: readonly Pin[]): Promise<void> {
    return this.#replace(join(this.#directory, "pins.json"), pins);
  }

  async pins(): Promise<Pin[]> {
    const text = await readFile(join(this.#directory, "pins.json"), "utf8").catch(() => "");
    return pinsForm.safeParse(json(text)).data ?? [];
  }

  async #merge(
    digest: Digest,
    { mediaType, place, tag, at }: { mediaType: string; place: Place; tag?: Tag; at: number },
  ): Promise<void> {
    const known = (await this.read(digest))?.places ?? [];
    const isHere = (entry: PlaceFacts): boolean =>
      entry.place.upstream === place.upstream && entry.place.repository === place.repository;
    const here = known.find(isHere);
    if (here && (tag === undefined || here.tags.get(tag) === at)) return;
    const tags = new Map(here?.tags);
    if (tag !== undefined) tags.set(tag, at);
    const all = [...known.filter((entry) => !isHere(entry)), { place, tags }];
    const places = all.map((entry) => ({
      upstream: entry.place.upstream,
      repository: entry.place.repository,
      tags: Object.fromEntries(entry.tags),
    }));
    await this.#replace(this.#path(digest), { mediaType, places });
  }

  /** Whole or not at all; without a sync, since a fact that a power cut takes is learnt again. */
  async #replace(path: string, value: unknown): Promise<void> {
    const draft = join(this.#directory, "writing", String((this.#number += 1)));
    try {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      await mkdir(dirname(draft), { recursive: true, mode: 0o700 });
      await writeFile(draft, `${JSON.stringify(value)}\n`, { mode: 0o600 });
      await rename(draft, path);
    } catch (cause) {
      await rm(draft, { force: true }).catch(() => {});
      throw storageFault(`write ${path}`, cause);
    }
  }

  #path(digest: Digest): string {
    const hex = digestHex(digest);
    return join(this.#directory, digestAlgorithm(digest), hex.slice(0, 2), `${hex}.json`);
  }
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
