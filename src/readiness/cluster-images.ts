import type { Cluster } from "../kubernetes/cluster.ts";
import type { WantedImage, WantedImages } from "./wanted.ts";

/** What a cluster runs, or would run, as what is wanted. */
export class ClusterImages implements WantedImages {
  readonly name = "cluster";
  readonly #cluster: () => Cluster | undefined;

  constructor(cluster: () => Cluster | undefined) {
    this.#cluster = cluster;
  }

  get isConfigured(): boolean {
    return this.#cluster() !== undefined;
  }

  /** @throws Error if no cluster is configured, or if it cannot be read now */
  async *list(signal: AbortSignal): AsyncGenerator<WantedImage> {
    const cluster = this.#cluster();
    if (!cluster) {
      throw new Error("no cluster is configured: set kubernetes in entrepot.yaml, and try again");
    }
    for await (const { image, by, platforms } of cluster.images(signal)) {
      yield { image, by, ...(platforms ? { platforms } : {}) };
    }
    // Else what is known may be of yesterday.
    const { problem } = cluster.state;
    if (problem !== undefined) throw new Error(problem);
  }
}
