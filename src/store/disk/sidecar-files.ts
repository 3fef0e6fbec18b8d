import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { LRUCache } from "lru-cache";
import { z } from "zod";
import { type Digest, digestAlgorithm, digestHex, parseDigest } from "../../oci/digest.ts";
import { parseRepositoryName, parseTag, parseUpstreamName, type Tag } from "../../oci/names.ts";
import type { Pin, RepositoryRef } from "../metadata-store.ts";
import { storageFault } from "../storage-fault.ts";

/** What is kept beside a manifest, so that the index can be made again without asking anybody. */
export interface ManifestSidecar {
  readonly mediaType: string;
  readonly repositories: readonly RepositoryTags[];
}

export interface RepositoryTags {
  readonly repo: RepositoryRef;
  /** When each of the tags was last seen to point here, in milliseconds of the epoch. */
  readonly tags: ReadonlyMap<Tag, number>;
}

/** Gives the facts that are to be kept, or the same ones where nothing is new. */
type Change = (
  facts: ManifestSidecar | undefined,
) => ManifestSidecar | undefined | Promise<ManifestSidecar | undefined>;

const sidecarSchema = z.object({
  mediaType: z.string(),
  places: z.array(
    z.object({
      upstream: z.string(),
      repository: z.string(),
      tags: z.record(z.string(), z.number()),
    }),
  ),
});
const pinsSchema = z.array(
  z.object({ pattern: z.string(), platforms: z.array(z.string()), since: z.number() }),
);

/** What a file takes on the disk, in bytes, however little is in it. */
const FILE_BYTES = 4096;
/** Facts that are known without reading them again, in bytes of memory. */
const CACHE_BYTES = 4 * 1024 * 1024;

/**
 * Small files below `sidecars/`: one per manifest, and one for all pins. They are written when something
 * new is learnt and not with each pull; the index is what is asked.
 */
export class SidecarFiles {
  readonly #directory: string;
  readonly #cache = new LRUCache<Digest, ManifestSidecar>({
    maxSize: CACHE_BYTES,
    sizeCalculation: ({ repositories: places }) =>
      places.reduce((sum, { tags }) => sum + 300 + 100 * tags.size, 300),
  });
  /** Writing per digest goes one after the other. As many as are being written. */
  readonly #pendingWrites = new Map<Digest, Promise<void>>();
  #lastFileNumber = 0;
  #fileCount = 0;

  constructor(directory: string) {
    this.#directory = join(directory, "sidecars");
  }

  /** Removes what a process that was killed has left half-written. */
  async open(): Promise<void> {
    await rm(join(this.#directory, "writing"), { recursive: true, force: true }).catch(() => {});
  }

  /** What all files take on the disk, as far as they were counted by `prune` or written since. */
  get bytes(): number {
    return this.#fileCount * FILE_BYTES;
  }

  /** Whether a tag is known to be written beside a manifest. */
  has(digest: Digest, repo: RepositoryRef, tag: Tag): boolean {
    const facts = this.#cache.get(digest);
    return (
      facts?.repositories.find((one) => isSameRepository(one.repo, repo))?.tags.has(tag) ?? false
    );
  }

  /** Remembers that a manifest may be seen at a place, and under a tag of it. */
  record(
    digest: Digest,
    fact: { mediaType: string; repo: RepositoryRef; tag?: Tag; at: number },
  ): Promise<void> {
    return this.#change(digest, (facts) => withRecord(facts, fact));
  }

  /** A tag leads to this manifest no more, or is to be forgotten. */
  removeTag(digest: Digest, repo: RepositoryRef, tag: Tag): Promise<void> {
    return this.#change(digest, (facts) => {
      const here = facts?.repositories.find((one) => isSameRepository(one.repo, repo));
      if (!facts || !here?.tags.has(tag)) return facts;
      const tags = new Map(here.tags);
      tags.delete(tag);
      return {
        ...facts,
        repositories: facts.repositories.map((one) => (one === here ? { repo, tags } : one)),
      };
    });
  }

  /** A manifest is no longer to be seen at a place. */
  removeRepository(digest: Digest, repo: RepositoryRef): Promise<void> {
    return this.#change(digest, (facts) => {
      const places = facts?.repositories.filter((one) => !isSameRepository(one.repo, repo)) ?? [];
      if (!facts || places.length === facts.repositories.length) return facts;
      return places.length === 0 ? undefined : { ...facts, repositories: places };
    });
  }

  remove(digest: Digest): Promise<void> {
    return this.#change(digest, () => undefined);
  }

  /**
   * Counts the files, and removes those that nobody would miss: their manifest is gone, and no tag
   * leads to it, or nothing was learnt of it since `before`, in milliseconds of the epoch. What is
   * asked for again is learnt again. Returns how many went.
   */
  async prune(
    isStored: (digest: Digest) => Promise<boolean>,
    { before, signal }: { readonly before: number; readonly signal?: AbortSignal },
  ): Promise<number> {
    let [files, gone] = [0, 0];
    for await (const digest of this.digests()) {
      if (signal?.aborted) return gone;
      files += 1;
      if (await isStored(digest)) continue;
      const written = await stat(this.#path(digest)).catch(() => undefined);
      await this.#change(digest, async (facts) => {
        const isNamed = facts?.repositories.some(({ tags }) => tags.size > 0) ?? false;
        if (!facts || (isNamed && (written?.mtimeMs ?? 0) >= before)) return facts;
        // Asked last, and before anybody else may write: it may just have come back.
        if (await isStored(digest)) return facts;
        gone += 1;
        return undefined;
      });
    }
    this.#fileCount = files - gone;
    return gone;
  }

  /** `undefined` where there is none, or none that can be read. */
  async read(digest: Digest): Promise<ManifestSidecar | undefined> {
    const text = await readFile(this.#path(digest), "utf8").catch(() => "");
    const parsed = sidecarSchema.safeParse(parseJson(text));
    if (!parsed.success) return undefined;
    const places = parsed.data.places.flatMap((entry) => {
      const upstream = parseUpstreamName(entry.upstream);
      const repository = parseRepositoryName(entry.repository);
      if (!upstream || !repository) return [];
      const tags = Object.entries(entry.tags).flatMap(([name, at]): [Tag, number][] => {
        const tag = parseTag(name);
        return tag ? [[tag, at]] : [];
      });
      return [{ repo: { upstream, repository }, tags: new Map(tags) }];
    });
    return { mediaType: parsed.data.mediaType, repositories: places };
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

  savePins(pins: readonly Pin[]): Promise<void> {
    return this.#replace(join(this.#directory, "pins.json"), pins);
  }

  async pins(): Promise<Pin[]> {
    const text = await readFile(join(this.#directory, "pins.json"), "utf8").catch(() => "");
    return pinsSchema.safeParse(parseJson(text)).data ?? [];
  }

  async #change(digest: Digest, change: Change): Promise<void> {
    const before = this.#pendingWrites.get(digest) ?? Promise.resolve();
    const writing = before.catch(() => {}).then(() => this.#apply(digest, change));
    this.#pendingWrites.set(digest, writing);
    try {
      await writing;
    } finally {
      if (this.#pendingWrites.get(digest) === writing) this.#pendingWrites.delete(digest);
    }
  }

  async #apply(digest: Digest, change: Change): Promise<void> {
    const known = this.#cache.get(digest) ?? (await this.read(digest));
    const facts = await change(known);
    if (facts !== known) await this.#write(digest, facts, known === undefined);
    if (facts) this.#cache.set(digest, facts);
    else this.#cache.delete(digest);
  }

  async #write(digest: Digest, facts: ManifestSidecar | undefined, isNew: boolean): Promise<void> {
    const path = this.#path(digest);
    if (!facts) {
      await rm(path, { force: true });
      this.#fileCount = Math.max(0, this.#fileCount - 1);
      return;
    }
    const places = facts.repositories.map(({ repo, tags }) => ({
      upstream: repo.upstream,
      repository: repo.repository,
      tags: Object.fromEntries(tags),
    }));
    await this.#replace(path, { mediaType: facts.mediaType, places });
    if (isNew) this.#fileCount += 1;
  }

  /** Whole or not at all; without a sync, since a fact that a power cut takes is learnt again. */
  async #replace(path: string, value: unknown): Promise<void> {
    const draft = join(this.#directory, "writing", String((this.#lastFileNumber += 1)));
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

function isSameRepository(one: RepositoryRef, other: RepositoryRef): boolean {
  return one.upstream === other.upstream && one.repository === other.repository;
}

function withRecord(
  facts: ManifestSidecar | undefined,
  { mediaType, repo, tag, at }: { mediaType: string; repo: RepositoryRef; tag?: Tag; at: number },
): ManifestSidecar {
  const known = facts?.repositories ?? [];
  const here = known.find((one) => isSameRepository(one.repo, repo));
  const isNew = !here || (tag !== undefined && !here.tags.has(tag));
  if (facts && facts.mediaType === mediaType && !isNew) return facts;
  const tags = new Map(here?.tags);
  if (tag !== undefined) tags.set(tag, at);
  return { mediaType, repositories: known.filter((one) => one !== here).concat({ repo, tags }) };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
