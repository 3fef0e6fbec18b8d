import type { Digest } from "../../oci/digest.ts";
import type { UpstreamName } from "../../oci/names.ts";
import type { Fill } from "./fill.ts";

/** Fills by digest. There are as many per digest as there are upstreams that send it at the moment. */
export class FillTable {
  readonly #byDigest = new Map<Digest, Set<Fill>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(fill: Fill): void {
    const fills = this.#byDigest.get(fill.digest) ?? new Set();
    this.#byDigest.set(fill.digest, fills.add(fill));
    this.#size += 1;
  }

  delete(fill: Fill): void {
    const fills = this.#byDigest.get(fill.digest);
    if (!fills?.delete(fill)) return;
    this.#size -= 1;
    if (fills.size === 0) this.#byDigest.delete(fill.digest);
  }

  has(digest: Digest): boolean {
    return this.#byDigest.has(digest);
  }

  get(digest: Digest, upstream: UpstreamName): Fill | undefined {
    return this.ofDigest(digest).find((fill) => fill.upstream === upstream);
  }

  ofDigest(digest: Digest): readonly Fill[] {
    return [...(this.#byDigest.get(digest) ?? [])];
  }

  *[Symbol.iterator](): Generator<Fill> {
    for (const fills of this.#byDigest.values()) yield* fills;
  }
}
