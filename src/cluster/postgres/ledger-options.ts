import type { DatabaseSettings } from "../../config/database-settings.ts";
import type { Fact } from "../ledger/facts.ts";
import type { LedgerState } from "../ledger/ledger.ts";
import type { ListedReplica, ReplicaIdentity } from "./heartbeat.ts";

/** What happens to the ledger, for whoever shows it. */
export interface LedgerEvents {
  changed(state: LedgerState): void;
  /** The other replicas, alive and silent, each second while the ledger is up. */
  replicas(others: readonly ListedReplica[]): void;
  /** The database does not take a fact. It was left out. */
  refused(fact: Fact, reason: string): void;
  /** A request has asked, and waited for so long. */
  asked?(milliseconds: number, isAnswered: boolean): void;
}

export interface PostgresLedgerOptions {
  readonly settings: DatabaseSettings;
  readonly replica: ReplicaIdentity;
  readonly events: LedgerEvents;
  /** How often to say that this replica is alive, in milliseconds. Default: each second. */
  readonly beatMs?: number;
  /** How often to look what changed, beside notifications, in milliseconds. Default: each 30 s. */
  readonly lookMs?: number;
}

export interface LedgerFigures {
  /** Facts that are still to be told. */
  readonly untold: number;
  /** How long ago everything was heard that others had told by then, in milliseconds; `undefined` if it never was. */
  readonly lagMs: number | undefined;
}
