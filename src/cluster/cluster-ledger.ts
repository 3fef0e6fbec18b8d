import type { DatabaseSettings } from "../config/database-settings.ts";
import type { Log } from "../telemetry/log.ts";
import type { ClusterCounters } from "./cluster-counters.ts";
import type { ClusterProblemKind, ClusterProblems } from "./cluster-problems.ts";
import type { LedgerStatus } from "./cluster-status.ts";
import { type FactsFollowed, ReplicaFacts } from "./facts/replica-facts.ts";
import { type LedgerAbsence, LedgerAwayError, type LedgerState } from "./ledger/ledger.ts";
import { HeardMembers } from "./members/heard-members.ts";
import type { MemberHealth } from "./members/member-health.ts";
import type { Member, Members } from "./members/members.ts";
import { PostgresLedger } from "./postgres/postgres-ledger.ts";

/** Loaded only where a database is configured. */
export type OpenLedger = (options: ClusterLedgerOptions) => ClusterLedger;

export interface ClusterLedgerOptions {
  readonly settings: DatabaseSettings;
  readonly secret: string;
  readonly self: Member;
  /** Those that are believed in while the ledger says nothing. */
  readonly configured: Members;
  readonly health: Pick<MemberHealth, "isUp" | "isAlive" | "watch" | "forget">;
  readonly problems: Pick<ClusterProblems, "notice" | "over">;
  /** Whether it is known without the ledger, too. */
  readonly isConfigured: (member: Member) => boolean;
  readonly counters: Pick<ClusterCounters, "askedLedger" | "ledgerWasAway">;
  readonly log: Log;
  /** How many replicas are known, this one and those that do not answer included. */
  readonly replicas: () => number;
  readonly version: string;
}

/** What it is for a cluster that its ledger is not used. */
export const LEDGER_PROBLEMS: Readonly<Record<LedgerAbsence, ClusterProblemKind>> = {
  silent: "ledger-away",
  refused: "ledger-refused",
  newer: "ledger-newer",
  "taken-id": "duplicate-id",
};

/** What happens is shown for five minutes: where it lasts, it is noticed again, in milliseconds. */
const NOTICE_MS = 60_000;

/** The host and the name of the database, without credentials. */
export function ledgerName({ host, port, database }: DatabaseSettings): string {
  return `${host}:${port}/${database}`;
}

/** The ledger of a cluster, and what this replica does with it. */
export class ClusterLedger implements AsyncDisposable {
  readonly members: HeardMembers;
  readonly facts: ReplicaFacts;
  readonly #ledger: PostgresLedger;
  readonly #options: ClusterLedgerOptions;
  readonly #name: string;
  #others: readonly Member[] = [];
  /** In milliseconds of the epoch. */
  #awaySince: number | undefined = Date.now();
  /** What was told of it, and is not over. */
  readonly #told = new Set<LedgerAbsence>();
  readonly #timer = setInterval(() => this.#notice(), NOTICE_MS).unref();

  constructor(options: ClusterLedgerOptions) {
    const { settings, secret, self, configured, health, log, version } = options;
    this.#options = options;
    this.#name = ledgerName(settings);
    this.members = new HeardMembers({
      self,
      configured,
      isUp: (member) => health.isUp(member),
      onChange: (others) => this.#othersChanged(others),
      onMissing: (member) => void health.isAlive(member),
    });
    this.#ledger = new PostgresLedger({
      settings,
      replica: { id: self.id, url: self.url.href, version },
      events: {
        changed: (state) => this.#changed(state),
        replicas: (others) => this.members.hear(others),
        refused: ({ kind }, error) => log.warn({ kind, error }, "a fact could not be told"),
        asked: (milliseconds, isAnswered) => options.counters.askedLedger(milliseconds, isAnswered),
      },
    });
    this.facts = new ReplicaFacts({
      ledger: this.#ledger,
      secret,
      replicas: options.replicas,
      onRefused: (order, reason) =>
        log.warn({ order, reason }, "an order of another replica is not carried out here"),
      onFailed: (task, error) =>
        log.warn({ task, error: String(error) }, "the cluster's work failed"),
    });
  }

  /** Begins to hear of other replicas. */
  follow(followed: FactsFollowed): Promise<void> {
    return this.facts.follow(followed);
  }

  /** @throws LedgerAwayError while the ledger is not to be asked */
  assertUp(): void {
    const { state } = this.#ledger;
    if (state.state === "away") throw new LedgerAwayError(`the ledger is away: ${state.reason}`);
  }

  status(): LedgerStatus {
    const { state, since } = this.#ledger.state;
    const { lagMs = Date.now() - since, untold } = this.#ledger.figures;
    return { state, since, name: this.#name, lag: Math.round(lagMs), untold };
  }

  /** Whether one has said goodbye, and nobody has configured it. */
  hasGone(member: Member): boolean {
    return this.members.hasGone(member) && !this.#options.isConfigured(member);
  }

  /** The cache stops: others do not count on this replica any more. */
  leave(): Promise<void> {
    return this.#ledger.leave();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#ledger.close();
    await this.facts[Symbol.asyncDispose]();
  }

  /** One that has gone is looked at once, if it is configured: it shows as silent at once. Others are no members any more. */
  #othersChanged(others: readonly Member[]): void {
    const { health, isConfigured } = this.#options;
    const ids = new Set(others.map(({ id }) => id));
    for (const member of this.#others.filter(({ id }) => !ids.has(id))) {
      if (isConfigured(member)) void health.isAlive(member);
      else health.forget(member);
    }
    for (const member of others) health.watch(member);
    this.#others = others;
  }

  #changed(state: LedgerState): void {
    const { problems, counters, log } = this.#options;
    if (this.#awaySince !== undefined) counters.ledgerWasAway(Date.now() - this.#awaySince);
    this.#awaySince = state.state === "away" ? Date.now() : undefined;
    const absence = state.state === "away" ? state.absence : undefined;
    // Others tell of a second replica with this id, too: only what was told here is over.
    for (const other of this.#told) {
      if (other === absence) continue;
      problems.over(LEDGER_PROBLEMS[other], this.#subjectOf(other));
      this.#told.delete(other);
    }
    if (state.state === "up") log.info({ ledger: this.#name }, "the ledger is up");
    else this.#notice(state);
  }

  #notice(state: LedgerState = this.#ledger.state): void {
    if (state.state === "up") return;
    const { absence, reason } = state;
    this.#told.add(absence);
    this.#options.problems.notice(LEDGER_PROBLEMS[absence], this.#subjectOf(absence), reason);
  }

  #subjectOf(absence: LedgerAbsence): string {
    return absence === "taken-id" ? this.#options.self.id : this.#name;
  }
}

export const openLedger: OpenLedger = (options) => new ClusterLedger(options);
