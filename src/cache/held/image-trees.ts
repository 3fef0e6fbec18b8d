import { LRUCache } from "lru-cache";
import type { Digest } from "../../oci/digest.ts";
import { isManifestType } from "../../oci/media-types.ts";
import { type Manifest, ManifestError } from "../../oci/manifest.ts";
import { parseManifest } from "../../oci/parse-manifest.ts";
import type { RepositoryRef } from "../../store/repository-ref.ts";
import type { StoredManifest } from "../results.ts";

/** How many digests are remembered of all images together: about 100 bytes each. */
const MAX_DIGESTS = 100_000;

/** An index of more manifests is no image: of the rest, nothing is known. */
const MAX_MANIFESTS = 1000;

export interface ImageTreesOptions {
  /** A manifest that is stored, and may be seen in the repository. */
  readonly load: (repo: RepositoryRef, digest: Digest) => Promise<StoredManifest | undefined>;
}

interface Tree {
  readonly found: ReadonlySet<Digest>;
  /** Manifests that were not stored when they were last looked for. */
  readonly missing: readonly Digest[];
  /** How many were read. */
  readonly count: number;
}

/** What images are made of: manifests, configurations and layers, as far as their manifests are stored. */
export class ImageTrees {
  readonly #load: ImageTreesOptions["load"];
  readonly #known = new LRUCache<string, Tree>({
    maxSize: MAX_DIGESTS,
    sizeCalculation: ({ found, missing }) => found.size + missing.length + 1,
  });

  constructor({ load }: ImageTreesOptions) {
    this.#load = load;
  }

  /** The digests below a manifest, without its own. What was missing is looked for again each time. */
  async below(repo: RepositoryRef, root: Digest): Promise<ReadonlySet<Digest>> {
    const key = `${repo.upstream}/${repo.repository}@${root}`;
    const known = this.#known.get(key) ?? { found: new Set<Digest>(), missing: [root], count: 0 };
    const found = new Set(known.found);
    const missing: Digest[] = [];
    let { count } = known;
    const waiting = [...known.missing];
    // The root is none of those of which an index may have so many.
    for (
      let manifest = waiting.pop();
      manifest && count <= MAX_MANIFESTS;
      manifest = waiting.pop()
    ) {
      const stored = await this.#load(repo, manifest);
      if (!stored) {
        missing.push(manifest);
        continue;
      }
      count += 1;
      const parsed = await parsedOf(stored);
      for (const { digest } of parsed?.blobs ?? []) found.add(digest);
      for (const { digest, mediaType } of parsed?.manifests ?? []) {
        if (!found.has(digest) && (mediaType === "" || isManifestType(mediaType)))
          waiting.push(digest);
        found.add(digest);
      }
    }
    if (count > known.count) this.#known.set(key, { found, missing, count });
    return found;
  }
}

/** `undefined` for one that was stored and is no manifest all the same. */
async function parsedOf({ bytes, mediaType }: StoredManifest): Promise<Manifest | undefined> {
  try {
    return await parseManifest(bytes, mediaType);
  } catch (error) {
    if (!(error instanceof ManifestError)) throw error;
    return undefined;
  }
}
