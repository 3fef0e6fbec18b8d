import { Catalogue, type Version } from "./catalogue.ts";
import type { Fleet } from "./fleet.ts";
import { logNormal, type Random, seeded } from "./random.ts";

const DAY = 86_400;
/** Of the shared layers, those that a node has already from other images. */
const BASES_ON_NODE = 0.6;
/** How unequal deployments are. */
const FAN_OUT_SIGMA = 2;

/** One image pulled by one node. */
export interface Pull {
  /** In seconds since the beginning. */
  readonly at: number;
  readonly version: Version;
  /** Of its layers, those that the node has not. */
  readonly layers: readonly number[];
}

/** All pulls, in the order of time: what follows from the fleet and its seed alone. */
export class Demand {
  readonly catalogue: Catalogue;
  readonly #fleet: Fleet;
  readonly #random: Random;

  constructor(fleet: Fleet) {
    this.#fleet = fleet;
    this.catalogue = new Catalogue(fleet.images, fleet.seed);
    this.#random = seeded(fleet.seed + 1);
  }

  /** Minute by minute, so that never more than the deployments in progress are in memory. */
  *pulls(): Generator<Pull> {
    const { days, imagesPerSecond, images } = this.#fleet;
    let rollouts: { readonly version: Version; left: number; readonly perMinute: number }[] = [];
    const perMinute = 60 * imagesPerSecond;
    const moved = perMinute * (1 - images.ofNewVersions);
    const releases = (perMinute * images.ofNewVersions) / images.meanFanOut;
    for (let minute = 0; minute < (days * DAY) / 60; minute += 1) {
      const pulls: Pull[] = [];
      for (let count = this.#whole(moved); count > 0; count -= 1) {
        pulls.push(this.#pull(minute, this.catalogue.pulled(), false));
      }
      for (let count = this.#whole(releases); count > 0; count -= 1) {
        const left = this.#fanOut();
        const minutes = Math.max(1, images.rolloutSeconds / 60);
        const version = this.catalogue.released();
        rollouts.push({ version, left, perMinute: Math.ceil(left / minutes) });
      }
      for (const rollout of rollouts) {
        const now = Math.min(rollout.left, rollout.perMinute);
        for (let count = 0; count < now; count += 1) {
          pulls.push(this.#pull(minute, rollout.version, true));
        }
        rollout.left -= now;
      }
      rollouts = rollouts.filter(({ left }) => left > 0);
      yield* pulls.sort((one, other) => one.at - other.at);
    }
  }

  #pull(minute: number, version: Version, isUpdate: boolean): Pull {
    const { baseLayers, changedLayers } = this.#fleet.images;
    const at = 60 * (minute + this.#random());
    // A node that had the version before lacks only what has changed.
    if (isUpdate) return { at, version, layers: version.layers.slice(-changedLayers) };
    const own = version.layers.slice(baseLayers);
    const hasBase = this.#random() < BASES_ON_NODE;
    return { at, version, layers: hasBase ? own : version.layers };
  }

  /** A whole number with this mean. */
  #whole(mean: number): number {
    const rest = mean % 1;
    return Math.floor(mean) + (this.#random() < rest ? 1 : 0);
  }

  #fanOut(): number {
    const { images, nodes } = this.#fleet;
    const median = images.meanFanOut / Math.exp(FAN_OUT_SIGMA ** 2 / 2);
    return Math.min(nodes, Math.max(1, Math.round(logNormal(this.#random, median, FAN_OUT_SIGMA))));
  }
}
