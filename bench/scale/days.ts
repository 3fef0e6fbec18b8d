import type { Fleet } from "./fleet.ts";
import { Demand, type Pull } from "./demand.ts";
import { LruDisk } from "./lru.ts";
import { type Random, seeded } from "./random.ts";
import { noTraffic, type Traffic } from "./traffic.ts";

const DAY = 86_400;
/** From the last byte of a download until the store has it: the queue and one PUT. */
const WRITTEN_BEHIND = 3;
/** How often a replica tells what was used. */
const TELL_INTERVAL = 30;
/** What containerd opens to one host for one image. */
const CONNECTIONS = 3;

/** Who is first in the rendezvous order of a digest: as good as random, and the same for all. */
function firstInOrder(layer: number, replicas: number): number {
  return (Math.imul(layer + 1, 0x9e3779b1) >>> 0) % replicas;
}

interface Replica {
  readonly disk: LruDisk;
  /** When each tag was last known to be right, by its repository. */
  readonly tags: Map<number, number>;
  readonly told: Set<number>;
  toldAt: number;
}

/** Runs a fleet's demand through its replicas, request by request. */
export function simulateDays(fleet: Fleet): Traffic & { readonly storedBytes: number } {
  return new Days(fleet).run();
}

class Days {
  readonly #fleet: Fleet;
  readonly #demand: Demand;
  readonly #random: Random;
  readonly #replicas: readonly Replica[];
  /** Since when the store has a layer. */
  readonly #store = new Map<number, number>();
  readonly #ledger = new Map<number, { checked: number; manifest: number }>();
  #traffic = noTraffic();
  #storedBytes = 0;

  constructor(fleet: Fleet) {
    this.#fleet = fleet;
    this.#demand = new Demand(fleet);
    this.#random = seeded(fleet.seed + 2);
    this.#replicas = Array.from({ length: fleet.replicas }, () => ({
      disk: new LruDisk(fleet.machine.diskBytes),
      tags: new Map<number, number>(),
      told: new Set<number>(),
      toldAt: 0,
    }));
  }

  run(): Traffic & { readonly storedBytes: number } {
    const begin = this.#fleet.warmUpDays * DAY;
    let isCounted = false;
    for (const pull of this.#demand.pulls()) {
      if (!isCounted && pull.at >= begin) {
        isCounted = true;
        this.#traffic = noTraffic();
      }
      this.#pull(pull);
    }
    return { ...this.#traffic, storedBytes: this.#storedBytes };
  }

  #pull({ at, version, layers }: Pull): void {
    this.#traffic.images += 1;
    const connections = Array.from({ length: CONNECTIONS }, () => this.#anyReplica());
    const first = connections[0] ?? 0;
    this.#resolve(first, version.repository, version.manifest, at);
    const source = this.#get(first, version.manifest, at);
    // The store does not say in which repository a manifest may be seen: the ledger does.
    if (source === "store") this.#traffic.placeQuestions += 1;
    for (const [index, layer] of layers.entries()) {
      this.#get(connections[index % CONNECTIONS] ?? 0, layer, at);
    }
  }

  #anyReplica(): number {
    return Math.floor(this.#random() * this.#fleet.replicas);
  }

  #replica(at: number): Replica {
    const replica = this.#replicas[at];
    if (!replica) throw new Error(`there is no replica ${at}`);
    return replica;
  }

  /** A tag: fresh here, else fresh at another replica, else asked for at its registry. */
  #resolve(replica: number, repository: number, manifest: number, at: number): void {
    const { tags } = this.#replica(replica);
    const { tagTtl, replicas } = this.#fleet;
    if (at - (tags.get(repository) ?? -Infinity) < tagTtl) return;
    const known = this.#ledger.get(repository);
    if (replicas > 1) this.#traffic.tagQuestions += 1;
    if (known && at - known.checked < tagTtl && replicas > 1) {
      tags.set(repository, known.checked);
      return;
    }
    tags.set(repository, at);
    this.#traffic.tagHeads += 1;
    if (replicas > 1) {
      this.#traffic.tagsTold += 1;
      if (known?.manifest !== manifest) this.#traffic.tagsMoved += 1;
    }
    this.#ledger.set(repository, { checked: at, manifest });
  }

  #get(index: number, layer: number, at: number): "disk" | "upstream" | "store" | "replica" {
    const replica = this.#replica(index);
    const size = this.#demand.catalogue.sizeOf(layer);
    this.#traffic.blobs += 1;
    this.#traffic.sentBytes += size;
    this.#tellUse(replica, layer, at);
    if (replica.disk.use(layer)) {
      this.#traffic.hits += 1;
      return "disk";
    }
    const source = this.#fill(index, layer, size, at);
    this.#traffic.broughtIn[source] += 1;
    this.#traffic.broughtInBytes[source] += size;
    return source;
  }

  /** Brings a layer to a replica: from the store, the first in the order, or upstream. */
  #fill(index: number, layer: number, size: number, at: number): "upstream" | "store" | "replica" {
    this.#replica(index).disk.add(layer, size);
    const { hasStore, replicas } = this.#fleet;
    if (hasStore) {
      if ((this.#store.get(layer) ?? Infinity) <= at) return "store";
      this.#traffic.storeMisses += 1;
    }
    const first = firstInOrder(layer, replicas);
    if (first !== index) {
      const filler = this.#replica(first);
      if (!filler.disk.use(layer)) {
        this.#traffic.broughtIn.upstream += 1;
        this.#traffic.broughtInBytes.upstream += size;
        filler.disk.add(layer, size);
        this.#writeBehind(layer, size, at);
      }
      return "replica";
    }
    this.#writeBehind(layer, size, at);
    return "upstream";
  }

  #writeBehind(layer: number, size: number, at: number): void {
    if (!this.#fleet.hasStore || this.#store.has(layer)) return;
    this.#store.set(layer, at + WRITTEN_BEHIND);
    this.#storedBytes += size;
    this.#traffic.storeHeads += 1;
    this.#traffic.storePuts += 1;
    this.#traffic.storePutBytes += size;
  }

  #tellUse(replica: Replica, layer: number, at: number): void {
    if (!this.#fleet.hasStore) return;
    if (at - replica.toldAt >= TELL_INTERVAL) {
      this.#traffic.usesTold += replica.told.size;
      replica.told.clear();
      replica.toldAt = at;
    }
    replica.told.add(layer);
  }
}
