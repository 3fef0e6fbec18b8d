import type { DatabaseSettings } from "../../../src/config/database-settings.ts";
import { parseDatabaseUrl } from "../../../src/config/cluster/database-url.ts";
import { until } from "../waiting.ts";
import type { LedgerState } from "../../../src/cluster/ledger/ledger.ts";
import type { ListedReplica } from "../../../src/cluster/postgres/heartbeat.ts";
import { PostgresLedger } from "../../../src/cluster/postgres/postgres-ledger.ts";

/** @throws Error if it is none */
export function databaseSettings(url: string, ca?: string): DatabaseSettings {
  const settings = parseDatabaseUrl(url, ca);
  if (typeof settings === "string") throw new Error(`the URL ${settings}`);
  return settings;
}

/** Tests need not wait for a whole second. */
const BEAT_MS = 100;

/** A ledger that remembers what has happened to it. */
export class TestLedger extends PostgresLedger {
  readonly states: LedgerState[];
  readonly refused: string[];
  /** The ids of the other replicas that are alive, as last heard. */
  readonly others: () => readonly string[];
  /** Of those that are silent. */
  readonly silent: () => readonly string[];

  constructor(url: string, id: string, lookMs?: number) {
    const states: LedgerState[] = [];
    const refused: string[] = [];
    let listed: readonly ListedReplica[] = [];
    const ids = (areSilent: boolean) => (): readonly string[] =>
      listed.filter(({ isSilent }) => isSilent === areSilent).map((other) => other.id);
    super({
      settings: databaseSettings(url),
      replica: { id, url: id, version: "1" },
      events: {
        changed: (state) => states.push(state),
        replicas: (others) => (listed = others),
        refused: (fact, reason) => refused.push(`${fact.kind}: ${reason}`),
      },
      beatMs: BEAT_MS,
      ...(lookMs === undefined ? {} : { lookMs }),
    });
    this.states = states;
    this.refused = refused;
    this.others = ids(false);
    this.silent = ids(true);
  }

  async isUp(): Promise<this> {
    const detail = (): string => JSON.stringify(this.state);
    await until(() => this.state.state === "up", {
      what: "the ledger to be up",
      detail,
      within: 20_000,
    });
    return this;
  }

  /** Resolves with the reason. */
  async isAway(): Promise<string> {
    return until(() => (this.state.state === "away" ? this.state.reason : undefined), {
      what: "the ledger to be away",
    });
  }
}
