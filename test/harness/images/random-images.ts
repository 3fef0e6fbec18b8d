import { OCI_MANIFEST } from "../../../src/oci/media-types.ts";
import { type Content, contentOf, descriptor, randomContent } from "./content.ts";
import type { Image } from "./images.ts";

/** A seeded generator of numbers from 0 to 1. */
export function randomNumbers(seed: number): () => number {
  let state = (seed * 2_654_435_761) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 32;
  };
}

export interface RandomImagesOptions {
  readonly count: number;
  /** Approximate size of the smallest and the largest image, in bytes. */
  readonly smallest: number;
  readonly largest: number;
  readonly seed?: number;
}

/** Images whose sizes differ by orders of magnitude. About four images share each base layer. */
export function randomImages(options: RandomImagesOptions): Image[] {
  const { count, smallest, largest, seed = 1 } = options;
  const random = randomNumbers(seed);
  const size = (): number =>
    Math.round(Math.exp(Math.log(smallest) + random() * Math.log(largest / smallest)));
  const bases = Array.from({ length: Math.ceil(count / 4) }, (_, at) =>
    randomContent(Math.max(1024, Math.round(size() / 3)), seed * 1_000_000 + at),
  );
  return Array.from({ length: count }, (_, at) => {
    const base = bases[Math.floor(random() * bases.length)];
    const own = randomContent(Math.max(512, Math.round((size() * 2) / 3)), seed * 2_000_000 + at);
    const config = contentOf({ image: at, seed }, "application/vnd.oci.image.config.v1+json");
    const layers: Content[] = [...(base ? [base] : []), own];
    const manifest = contentOf(
      {
        schemaVersion: 2,
        mediaType: OCI_MANIFEST,
        config: descriptor(config),
        layers: layers.map(descriptor),
      },
      OCI_MANIFEST,
    );
    return { manifest, blobs: [config, ...layers], children: [] };
  });
}

/**
 * A generator of indices from 0 to `count`, exclusive, with a Zipf distribution: low ones are the
 * most frequent.
 */
export function zipf(count: number, exponent: number, random: () => number): () => number {
  const sums: number[] = [];
  let sum = 0;
  for (let rank = 1; rank <= count; rank += 1) sums.push((sum += 1 / rank ** exponent));
  return () => {
    const target = random() * sum;
    let [low, high] = [0, count - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sums[middle] ?? 0) < target) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}
