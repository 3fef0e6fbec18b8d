import type { ClusterProblem, ClusterProblems } from "./cluster-problems.ts";

/** A replica as this one sees it. Times are in milliseconds since the epoch. */
export interface MemberStatus {
  /** The URL that it advertises, at which other replicas ask it. */
  readonly id: string;
  /**
   * - `silent`: it has not answered, or not been heard of, for longer than a living one may be
   * - `unusable`: it answers, and cannot be asked: `problem` says why
   */
  readonly state: "this" | "living" | "silent" | "unusable";
  /** The kind of what is wrong with one that is unusable. */
  readonly problem?: string;
  /** Absent until it is known. */
  readonly version?: string;
  /** When it last answered or was last heard of; absent for this one, and before the first time. */
  readonly seenAt?: number;
}

/** What this replica knows of the ledger. */
export interface LedgerStatus {
  readonly state: "up" | "away";
  /** Since when it is in this state. */
  readonly since: number;
  /** The host and the name of the database, without credentials. */
  readonly name: string;
  /** How old what was heard may be: the time since the last complete look, in milliseconds. */
  readonly lag: number;
  /** Facts that this replica has not told it yet. */
  readonly untold: number;
}

/** What this replica knows of the shared store. */
export interface SharedStoreStatus {
  /** `read-only`: reads work, writes do not. */
  readonly state: "up" | "read-only" | "away";
  readonly since: number;
  /** The bucket's URL with the prefix, without credentials. */
  readonly name: string;
  /** Blobs that are to be written. */
  readonly backlog: number;
  /** What all replicas have written, by the ledger; absent without one. In bytes. */
  readonly usedBytes?: number;
  readonly blobs?: number;
  /** Absent without a limit. */
  readonly maxSize?: number;
}

/** Who evicts from the shared store. */
export interface LeaderStatus {
  readonly id: string;
  readonly isThis: boolean;
}

/** A cluster as one of its replicas sees it. */
export interface ClusterStatus {
  /** This replica is among them. */
  readonly members: readonly MemberStatus[];
  readonly ledger?: LedgerStatus;
  readonly store?: SharedStoreStatus;
  readonly leader?: LeaderStatus;
  /** What is degraded, what that means, and what to do. */
  readonly degraded: readonly ClusterProblem[];
}

/** What the parts of a cluster tell of themselves. What is not configured is absent. */
export interface ClusterReporters {
  readonly problems: Pick<ClusterProblems, "current">;
  readonly members: () => readonly MemberStatus[];
  readonly ledger?: () => LedgerStatus;
  readonly store?: () => SharedStoreStatus;
  readonly leader?: () => LeaderStatus | undefined;
}

export function readClusterStatus(parts: ClusterReporters): ClusterStatus {
  const [ledger, store, leader] = [parts.ledger?.(), parts.store?.(), parts.leader?.()];
  return {
    members: parts.members(),
    ...(ledger && { ledger }),
    ...(store && { store }),
    ...(leader && { leader }),
    degraded: parts.problems.current,
  };
}
