import type { Cache } from "../cache/cache.ts";
import type { ManifestResult } from "../cache/results.ts";
import type { Upstream } from "../cache/upstream.ts";
import { Accept } from "../oci/accept.ts";
import { type Digest, digestHex, parseDigest } from "../oci/digest.ts";
import { Fault } from "../oci/fault.ts";
import type { ImageReference } from "../oci/image-reference.ts";
import { type Descriptor, type Manifest, MAX_MANIFEST_BYTES } from "../oci/manifest.ts";
import { OCI_INDEX } from "../oci/media-types.ts";
import { parseTag, type Tag } from "../oci/names.ts";
import { parseManifest } from "../oci/parse-manifest.ts";
import { ATTESTATION, matchesPlatform } from "../oci/platform-match.ts";
import type { RepositoryRef } from "../store/metadata-store.ts";
import { WarmError } from "./warm-error.ts";
import type { Patience } from "./patience.ts";

/** Any type: what is stored is what the registry gives. */
const ANY = new Accept(null);
/** How long a registry is given that was too slow for a client, and how often, in milliseconds. */
const SLOW_MS = 2000;
const MAX_LOOKS = 10;
/** An index may name another one; what is nested deeper is no image. */
const MAX_DEPTH = 3;
/** The most manifests that are fetched as referrers of one image. */
const MAX_REFERRERS = 100;
/** The tags under which cosign signs, where a registry lacks referrers. */
const COSIGN_SUFFIXES = ["sig", "att", "sbom"] as const;

/** The parts of the cache that are needed. */
export type WarmCache = Pick<
  Cache,
  "manifests" | "background" | "referrers" | "tagLists" | "servedDigest" | "settled"
>;

/** What of an image is wanted. */
export interface WantedParts {
  /** Such as `linux/amd64`; empty for every platform that the image has. */
  readonly platforms: readonly string[];
  /** Whether signatures, SBOMs and attestations are. */
  readonly referrers: boolean;
}

/** An image as it is known once its manifests are here. */
export interface ImageParts {
  readonly digest: Digest;
  /** Why the tag may have moved since, if its registry could not be asked. */
  readonly stale?: string;
  /** Configs and layers, each once. */
  readonly blobs: readonly Descriptor[];
  /** Those that are wanted and that it has. */
  readonly platforms: string[];
}

export interface WalkOptions {
  readonly cache: WarmCache;
  readonly upstream: Upstream;
  readonly repo: RepositoryRef;
  readonly patience: Patience;
}

/** Fetches the manifests of one image, and finds out which blobs belong to it. */
export class ManifestWalk {
  readonly #cache: WarmCache;
  readonly #upstream: Upstream;
  readonly #repo: RepositoryRef;
  readonly #patience: Patience;
  readonly #wanted: WantedParts;
  readonly #blobs = new Map<Digest, Descriptor>();
  readonly #seen = new Set<Digest>();
  readonly #platforms = new Set<string>();
  readonly #offered = new Set<string>();

  constructor({ cache, upstream, repo, patience }: WalkOptions, wanted: WantedParts) {
    this.#cache = cache;
    this.#upstream = upstream;
    this.#repo = repo;
    this.#patience = patience;
    this.#wanted = wanted;
  }

  /**
   * @throws WarmError if the image has none of the platforms
   * @throws Fault or ManifestError
   */
  async run({ tag, digest }: Pick<ImageReference, "tag" | "digest">): Promise<ImageParts> {
    const root = await this.#root(digest ?? tag ?? LATEST);
    const { manifest } = root;
    const wanted = this.#wanted;
    await this.#take(manifest.digest, await parsed(manifest), wanted, 1);
    if (this.#platforms.size === 0 && this.#offered.size > 0) {
      const offered = [...this.#offered].join(", ");
      throw new WarmError(`it has no ${wanted.platforms.join(", ")}: it has ${offered}`);
    }
    if (wanted.referrers) await this.#takeReferrers([...this.#seen]);
    const { cacheStatus } = root;
    return {
      digest: manifest.digest,
      blobs: [...this.#blobs.values()],
      platforms: [...this.#platforms],
      ...(cacheStatus.result === "stale" ? { stale: cacheStatus.reason ?? "it is stale" } : {}),
    };
  }

  /**
   * What a tag points to now. A registry that rests, or is slow, is waited for, unless it fails: then what is
   * known stands.
   */
  async #root(reference: Tag | Digest): Promise<ManifestResult> {
    for (let tries = 1; ; tries += 1) {
      const result = await this.#get(reference);
      if (result.cacheStatus.result !== "stale" || tries >= MAX_LOOKS) return result;
      const { rest } = this.#upstream.registry;
      if (rest?.reason === "failing") return result;
      if (rest) await this.#patience.rest(this.#upstream, "manifest");
      // It is being asked behind the answer.
      else await this.#patience.pause(SLOW_MS);
    }
  }

  async #get(reference: Tag | Digest): Promise<ManifestResult> {
    const { manifests } = this.#cache;
    const ask = (): Promise<ManifestResult> =>
      manifests.get(this.#upstream, this.#repo, reference, ANY, "cache");
    const isKnown = await this.#isKnown(reference);
    const result = isKnown
      ? await ask()
      : await this.#patience.ask(this.#upstream, "manifest", ask);
    if (!result.manifest.unstored) return result;
    throw new Fault({ kind: "no-space", reason: "its manifest could not be stored" });
  }

  /** Whether it can be had without a request that counts. */
  async #isKnown(reference: Tag | Digest): Promise<boolean> {
    const { background } = this.#cache;
    const tag = parseTag(reference);
    const digest = tag ? await this.#cache.servedDigest(this.#repo, tag) : parseDigest(reference);
    return digest !== undefined && (await background.isStored(digest));
  }

  async #take(
    digest: Digest,
    manifest: Manifest,
    wanted: WantedParts,
    depth: number,
  ): Promise<void> {
    this.#seen.add(digest);
    for (const blob of manifest.blobs) this.#blobs.set(blob.digest, blob);
    for (const entry of manifest.manifests) {
      const { platform } = entry;
      const isWanted =
        platform === ATTESTATION ? wanted.referrers : this.#isWanted(platform, wanted.platforms);
      if (!isWanted || this.#seen.has(entry.digest) || depth >= MAX_DEPTH) continue;
      const { manifest: child } = await this.#get(entry.digest);
      await this.#take(entry.digest, await parsed(child), wanted, depth + 1);
    }
  }

  #isWanted(platform: string | undefined, wanted: readonly string[]): boolean {
    if (platform === undefined) return true;
    this.#offered.add(platform);
    if (wanted.length > 0 && !wanted.some((one) => matchesPlatform(platform, one))) return false;
    this.#platforms.add(platform);
    return true;
  }

  async #takeReferrers(subjects: readonly Digest[]): Promise<void> {
    let left = MAX_REFERRERS;
    const all: WantedParts = { platforms: [], referrers: true };
    for (const subject of subjects) {
      for (const digest of await this.#referrersOf(subject)) {
        if (left <= 0) return;
        if (this.#seen.has(digest)) continue;
        left -= 1;
        const { manifest } = await this.#get(digest);
        await this.#take(digest, await parsed(manifest), all, 1);
      }
    }
    // Cosign signs the image as it was pulled: by its own digest.
    const [root] = subjects;
    for (const suffix of root ? COSIGN_SUFFIXES : []) await this.#takeSigned(root, suffix);
  }

  async #referrersOf(digest: Digest): Promise<readonly Digest[]> {
    const { referrers } = this.#cache;
    const { value } = await this.#patience.ask(this.#upstream, "list", () =>
      referrers.list(this.#upstream, this.#repo, digest),
    );
    if (value.isEmpty || value.whole.size > MAX_MANIFEST_BYTES) return [];
    const { manifests } = await parseManifest(await value.whole.bytes(), OCI_INDEX);
    return manifests.map((entry) => entry.digest);
  }

  async #takeSigned(root: Digest | undefined, suffix: string): Promise<void> {
    const tag = root && parseTag(`sha256-${digestHex(root)}.${suffix}`);
    if (!tag) return;
    try {
      const { manifest } = await this.#get(tag);
      await this.#take(
        manifest.digest,
        await parsed(manifest),
        { platforms: [], referrers: true },
        1,
      );
    } catch (error) {
      const isMissing = error instanceof Fault && isAbsent(error);
      if (!isMissing) throw error;
    }
  }
}

// The grammar of tags allows it.
const LATEST = "latest" as Tag;

function isAbsent({ detail }: Fault): boolean {
  return detail.kind === "not-found" || detail.kind === "upstream-denied";
}

function parsed({ bytes, mediaType }: ManifestResult["manifest"]): Promise<Manifest> {
  return parseManifest(bytes, mediaType);
}
