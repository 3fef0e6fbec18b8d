import { CPU } from "./costs.ts";

/** A new image that every node pulls at the same moment: the worst that a cluster meets. */
export interface Rollout {
  readonly nodes: number;
  readonly replicas: number;
  /** The image's layers, in bytes. */
  readonly layers: readonly number[];
  /** Of a replica, in bytes per second, in each direction. */
  readonly networkBytes: number;
  /** The line to the registries. */
  readonly upstreamBytes: number;
  /**
   * Where replicas get it: from the first in the order, which downloads it; from the shared store, which
   * has it since somebody pulled it before; or each for itself from the registry, as without a cluster.
   */
  readonly from: "replica" | "store" | "upstream";
}

export interface RolloutResult {
  /** Until the last node has the image. */
  readonly seconds: number;
  /** If every replica had it on its disk: what the network of the replicas allows. */
  readonly leastSeconds: number;
  readonly upstreamBytes: number;
  /** Sent by the busiest replica to other replicas. */
  readonly relayedBytes: number;
}

/** Layers of one image that a node downloads at once: containerd's default. */
const NODE_DOWNLOADS = 3;
/** What one replica reads from a store over its connections, in bytes per second. */
const STORE_BYTES = 1e9;
/** Processors of a replica, which hash and write what it receives. */
const CORES = 4;
const RECEIVED_BYTES = (CORES / CPU.perReceivedGigabyte) * 1e9;
const STEPS = 4000;

/** Replicas that do the same: one that fills certain layers, or all that fill none. */
interface Group {
  readonly count: number;
  /** The layers for which these are first in the order. */
  readonly fills: ReadonlySet<number>;
  /** Of each layer, what such a replica has, and what each of its nodes has; in bytes. */
  readonly has: number[];
  readonly nodesHave: number[];
}

/** A flow of bytes that shares a network with others. */
interface Flow {
  /** Connections: each gets the same. */
  readonly weight: number;
  /** What it could use at most in this step, of all its connections together. */
  readonly wanted: number;
  readonly move: (bytes: number) => void;
}

/** Divides what a network carries in a step: what one flow cannot use, the others get. */
export function divide(capacity: number, flows: readonly Flow[]): void {
  let left = capacity;
  const waiting = flows.filter(({ wanted }) => wanted > 0);
  // Those that want the least by connection first: what they leave is divided among the others.
  waiting.sort((one, other) => one.wanted / one.weight - other.wanted / other.weight);
  let weights = waiting.reduce((sum, { weight }) => sum + weight, 0);
  for (const { wanted, weight, move } of waiting) {
    const share = Math.min(wanted, (left * weight) / weights);
    move(share);
    left -= share;
    weights -= weight;
  }
}

export function simulateRollout(rollout: Rollout): RolloutResult {
  const { nodes, replicas, layers, networkBytes, from } = rollout;
  const image = layers.reduce((sum, size) => sum + size, 0);
  const nodesEach = nodes / replicas;
  const leastSeconds = (nodesEach * image) / networkBytes;
  const groups = groupsOf(rollout);
  let [seconds, upstream] = [0, 0];
  const relayedBy = groups.map(() => 0);
  const step = Math.max(0.01, leastSeconds / STEPS);
  while (groups.some(({ nodesHave }) => nodesHave.some((has, at) => has < (layers[at] ?? 0) - 1))) {
    upstream += fromUpstream(rollout, groups, step);
    if (from === "store") fromStore(rollout, groups, step);
    for (const [index, group] of groups.entries()) {
      const relayed = (bytes: number): void => {
        relayedBy[index] = (relayedBy[index] ?? 0) + bytes;
      };
      const relays = from === "replica" ? relaysOf(rollout, groups, group, { step, relayed }) : [];
      const flows = toNodes(layers, group, nodesEach, step * networkBytes);
      divide(networkBytes * step, [...relays, ...flows]);
    }
    seconds += step;
    if (seconds > 1000 * leastSeconds + 100_000) throw new Error("the rollout does not end");
  }
  return {
    seconds,
    leastSeconds,
    upstreamBytes: upstream,
    relayedBytes: Math.max(0, ...relayedBy),
  };
}

function groupsOf({ replicas, layers }: Rollout): Group[] {
  const fillers = Math.min(replicas, layers.length);
  const none = (): number[] => layers.map(() => 0);
  const groups = Array.from({ length: fillers }, (_, at) => ({
    count: 1,
    fills: new Set([...layers.keys()].filter((layer) => layer % fillers === at)),
    has: none(),
    nodesHave: none(),
  }));
  const others = {
    count: replicas - fillers,
    fills: new Set<number>(),
    has: none(),
    nodesHave: none(),
  };
  return others.count > 0 ? [...groups, others] : groups;
}

/** The downloads from the registries, which share one line; returns the bytes. */
function fromUpstream(
  { layers, upstreamBytes, from }: Rollout,
  groups: Group[],
  step: number,
): number {
  if (from === "store") return 0;
  let moved = 0;
  const flows = groups.flatMap((group) =>
    layers.flatMap((size, layer) => {
      if (from === "replica" && !group.fills.has(layer)) return [];
      const wanted = Math.min(size - (group.has[layer] ?? 0), RECEIVED_BYTES * step);
      const move = (bytes: number): void => {
        group.has[layer] = (group.has[layer] ?? 0) + bytes / group.count;
        moved += bytes;
      };
      return [{ weight: group.count, wanted: wanted * group.count, move }];
    }),
  );
  divide(upstreamBytes * step, flows);
  return moved;
}

function fromStore({ layers, networkBytes }: Rollout, groups: Group[], step: number): void {
  for (const group of groups) {
    const flows = layers.map((size, layer) => ({
      weight: 1,
      wanted: size - (group.has[layer] ?? 0),
      move: (bytes: number): void => {
        group.has[layer] = (group.has[layer] ?? 0) + bytes;
      },
    }));
    divide(Math.min(STORE_BYTES, RECEIVED_BYTES, networkBytes) * step, flows);
  }
}

/** What one replica sends to those that follow its downloads. */
function relaysOf(
  { layers, networkBytes }: Rollout,
  groups: Group[],
  filler: Group,
  { step, relayed }: { readonly step: number; readonly relayed: (bytes: number) => void },
): Flow[] {
  return [...filler.fills].flatMap((layer) =>
    groups
      .filter((group) => group !== filler)
      .map((group) => {
        const behind = (filler.has[layer] ?? 0) - (group.has[layer] ?? 0);
        // It receives the other layers at the same time.
        const most = (Math.min(RECEIVED_BYTES, networkBytes) * step) / layers.length;
        return {
          weight: group.count,
          wanted: Math.min(behind, most) * group.count,
          move: (bytes: number): void => {
            group.has[layer] = (group.has[layer] ?? 0) + bytes / group.count;
            relayed(bytes);
          },
        };
      }),
  );
}

/** What a replica sends to its nodes: the first layers that they have not. */
function toNodes(layers: readonly number[], group: Group, nodes: number, most: number): Flow[] {
  const missing = layers.flatMap((size, layer) =>
    (group.nodesHave[layer] ?? 0) < size - 1 ? [layer] : [],
  );
  return missing.slice(0, NODE_DOWNLOADS).map((layer) => {
    const behind = (group.has[layer] ?? 0) - (group.nodesHave[layer] ?? 0);
    return {
      weight: nodes,
      wanted: Math.min(behind * nodes, most),
      move: (bytes: number): void => {
        group.nodesHave[layer] = (group.nodesHave[layer] ?? 0) + bytes / nodes;
      },
    };
  });
}
