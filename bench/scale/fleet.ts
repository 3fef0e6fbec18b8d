/** What is simulated. Sizes are in bytes, times in seconds, rates per second. */
export interface Fleet {
  readonly nodes: number;
  readonly replicas: number;
  /** Images that nodes pull, all together: what their own stores do not have. */
  readonly imagesPerSecond: number;
  readonly days: number;
  /** Days at the beginning that fill the disks and are not counted. */
  readonly warmUpDays: number;
  readonly machine: Machine;
  readonly images: ImageMix;
  readonly tagTtl: number;
  /** Whether the replicas share a store. Without one they ask each other. */
  readonly hasStore: boolean;
  readonly seed: number;
}

/** The machine of a replica. */
export interface Machine {
  readonly cores: number;
  readonly networkBytes: number;
  readonly diskBytes: number;
}

/** Which images there are: assumptions, and the ones to replace by one's own first. */
export interface ImageMix {
  readonly repositories: number;
  /** Of Zipf's law: how much more often the first repository is pulled than the others. */
  readonly popularity: number;
  readonly layers: number;
  /** Of the layers, those that many repositories share. */
  readonly baseLayers: number;
  readonly bases: number;
  /** Of the layers, those that a new version replaces. */
  readonly changedLayers: number;
  readonly medianLayerBytes: number;
  readonly layerSigma: number;
  readonly largestLayerBytes: number;
  /** The part of all pulls that a new version causes; the others are Pods that move. */
  readonly ofNewVersions: number;
  /** Nodes that a new version is deployed to, on average: most go to a few, some to all. */
  readonly meanFanOut: number;
  /** How long such a deployment takes. */
  readonly rolloutSeconds: number;
}

const [MB, GB, TB] = [1e6, 1e9, 1e12];

export const FLEET: Fleet = {
  nodes: 100_000,
  replicas: 10,
  imagesPerSecond: 10,
  days: 2,
  warmUpDays: 1,
  machine: { cores: 4, networkBytes: 1.25 * GB, diskBytes: TB },
  images: {
    repositories: 5000,
    popularity: 0.9,
    layers: 8,
    baseLayers: 3,
    bases: 100,
    changedLayers: 2,
    medianLayerBytes: 2 * MB,
    layerSigma: 2,
    largestLayerBytes: 4 * GB,
    ofNewVersions: 0.7,
    meanFanOut: 100,
    rolloutSeconds: 300,
  },
  tagTtl: 30,
  hasStore: true,
  seed: 19,
};
