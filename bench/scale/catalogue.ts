import type { ImageMix } from "./fleet.ts";
import { logNormal, type Random, seeded, zipf } from "./random.ts";

const MANIFEST_BYTES = 4000;

/** A version of an image: its layers by number, the shared ones first. */
export interface Version {
  readonly repository: number;
  /** A number as layers have one: it is stored and fetched as they are. */
  readonly manifest: number;
  readonly layers: readonly number[];
}

/** Images, their layers' sizes, and new versions of them. */
export class Catalogue {
  readonly #mix: ImageMix;
  readonly #random: Random;
  readonly #sizes: number[] = [];
  readonly #versions: Version[];
  readonly #popular: (random: Random) => number;

  constructor(mix: ImageMix, seed: number) {
    this.#mix = mix;
    this.#random = seeded(seed);
    this.#popular = zipf(mix.repositories, mix.popularity);
    const bases = Array.from({ length: mix.bases }, () => this.#newLayers(mix.baseLayers));
    const popularBase = zipf(mix.bases, 1);
    this.#versions = Array.from({ length: mix.repositories }, (_, repository) => {
      const base = bases[popularBase(this.#random)] ?? [];
      const own = this.#newLayers(mix.layers - mix.baseLayers);
      return { repository, manifest: this.#newManifest(), layers: [...base, ...own] };
    });
  }

  sizeOf(layer: number): number {
    return this.#sizes[layer] ?? 0;
  }

  /** The current version of a repository, drawn by how often each is pulled. */
  pulled(): Version {
    return this.#versionOf(this.#popular(this.#random));
  }

  /** A new version of a repository: the last layers are new. */
  released(): Version {
    const old = this.pulled();
    const kept = old.layers.slice(0, -this.#mix.changedLayers);
    const layers = [...kept, ...this.#newLayers(this.#mix.changedLayers)];
    const version = { ...old, manifest: this.#newManifest(), layers };
    this.#versions[old.repository] = version;
    return version;
  }

  #versionOf(repository: number): Version {
    const version = this.#versions[repository];
    if (!version) throw new Error(`there is no repository ${repository}`);
    return version;
  }

  #newManifest(): number {
    this.#sizes.push(MANIFEST_BYTES);
    return this.#sizes.length - 1;
  }

  #newLayers(count: number): number[] {
    const { medianLayerBytes, layerSigma, largestLayerBytes } = this.#mix;
    return Array.from({ length: count }, () => {
      const size = logNormal(this.#random, medianLayerBytes, layerSigma);
      this.#sizes.push(Math.min(largestLayerBytes, Math.ceil(size)));
      return this.#sizes.length - 1;
    });
  }
}
