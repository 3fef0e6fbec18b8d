import { sql } from "kysely";
import type { KnownImage } from "../../cache/held/image-news.ts";
import type { StayAges } from "../../cache/lookup/tag-news.ts";
import { withTimeout } from "../../cache/with-timeout.ts";
import type { Digest } from "../../oci/digest.ts";
import type { Tag } from "../../oci/names.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import type { Fact, ManifestFact, Order, Preview, TagFact } from "../ledger/facts.ts";
import { Hearing } from "../ledger/hearing.ts";
import {
  type Ledger,
  LedgerAwayError,
  type LedgerHearer,
  type LedgerState,
  QUESTION_MS,
} from "../ledger/ledger.ts";
import { Outbox } from "../ledger/outbox.ts";
import { Asking, type AskingOptions } from "./asking.ts";
import { describeDatabaseError, isOfStatement, isRefusal } from "../database/database-error.ts";
import { HistoryQuestions } from "./history-questions.ts";
import type { LedgerFigures, PostgresLedgerOptions } from "./ledger-options.ts";
import { Looks } from "./looks.ts";
import { newsOf, parseMessage, parseNotification } from "./messages.ts";
import { migrateLedger } from "../database/migrations.ts";
import { type Database, openDatabase } from "../database/pool.ts";
import { Presence } from "./presence.ts";
import { askManifest } from "./manifest-question.ts";
import { askPreview, recordOrder } from "./record-order.ts";
import type { ServerClock } from "../database/server-clock.ts";
import type { LedgerTables } from "../database/tables.ts";
import { tidyDaily } from "./tidying.ts";
import { askTags, TagQuestions } from "./tag-questions.ts";
import { tellAll } from "./telling.ts";

/** Statements of requests, which never wait for anything else, and not for a connection either. */
const QUESTIONS = { connections: 2, kept: 1, statementMs: 300 };
/** Of everything that happens behind. */
const WORK = { connections: 2, statementMs: 3000 };
const BEAT_MS = 1000;
const LOOK_MS = 30_000;
/** How often a replica asks whether it is its turn to remove what is old. */
const TIDY_MS = 3_600_000;
/** How long the rest may take to be told at the end. */
const FAREWELL_MS = 1000;

/** The ledger in PostgreSQL. It connects by itself, again and again, and never makes anybody wait for that. */
export class PostgresLedger implements Ledger {
  readonly #options: PostgresLedgerOptions;
  readonly #questions: Database<LedgerTables>;
  readonly #tags: TagQuestions<Pick<TagFact, "digest" | "ageMs">>;
  readonly #histories: HistoryQuestions;
  readonly #work: Database<LedgerTables>;
  readonly #presence: Presence;
  readonly #outbox: Outbox;
  readonly #asking: Asking;
  #hearing: Hearing | undefined;
  #looks: Looks | undefined;
  #isLooking = false;
  #mustLook = true;
  /** How often this has come up, and of which of these times the hearer has heard everything. */
  #ups = 0;
  #caughtUp = 0;
  /** When the last look began, and when everything was heard. */
  #lookedAt: number | undefined;
  #heardAt: number | undefined;
  #tidiedAt: number = now();
  #closed: Promise<void> | undefined;

  constructor(options: PostgresLedgerOptions) {
    const { settings, replica, events, beatMs = BEAT_MS } = options;
    this.#options = options;
    this.#questions = openDatabase(settings, QUESTIONS);
    this.#tags = new TagQuestions((asked) => askTags(this.#questions.db, asked));
    this.#work = openDatabase(settings, WORK);
    const asking: Omit<AskingOptions, "limitMs"> = {
      isUp: () => this.#isUp,
      failed: (error) => this.#failed(error),
      late: () => this.#presence.doubt(),
      asked: (milliseconds, isAnswered) => events.asked?.(milliseconds, isAnswered),
    };
    this.#asking = new Asking({ ...asking, limitMs: QUESTION_MS });
    this.#histories = new HistoryQuestions(this.#questions.db, asking);
    this.#outbox = new Outbox({
      now,
      tell: (facts) =>
        tellAll(facts, {
          db: this.#work.db,
          run: this.#presence.run,
          clock: () => this.#clock(),
          now,
          refused: (fact, reason) => events.refused(fact, reason),
        }),
    });
    this.#presence = new Presence({
      settings,
      replica,
      now,
      beatMs,
      heard: () => this.#looks?.cursor,
      events: {
        prepare: () => migrateLedger(this.#work.db),
        catchUp: () => this.#outbox.flush(),
        beaten: ({ others }) => {
          events.replicas(others);
          this.#beaten();
        },
        notified: (text) => this.#notified(text),
        changed: (state) => this.#changed(state),
      },
    });
  }

  get state(): LedgerState {
    return this.#presence.state;
  }

  get figures(): LedgerFigures {
    const lagMs = this.#heardAt === undefined ? undefined : now() - this.#heardAt;
    return { untold: this.#outbox.size, lagMs };
  }

  tag(repo: RepositoryRef, tag: Tag): Promise<Pick<TagFact, "digest" | "ageMs"> | undefined> {
    return this.#asking.ask(() => this.#tags.ask(repo, tag));
  }

  history(repo: RepositoryRef, tag: Tag): Promise<readonly StayAges[] | undefined> {
    return this.#histories.tag(repo, tag);
  }

  images(repo: RepositoryRef, digest: Digest): Promise<readonly KnownImage[]> {
    return this.#histories.images(repo, digest);
  }

  manifest(
    repo: RepositoryRef,
    digest: Digest,
  ): Promise<Pick<ManifestFact, "size" | "mediaType" | "ageMs"> | undefined> {
    return this.#asking.ask(() => askManifest(this.#questions.db, repo, digest));
  }

  tell(fact: Fact): void {
    this.#outbox.add(fact);
    if (this.#isUp) void this.#flush();
  }

  order(order: Order): Promise<void> {
    return this.#put((by) => recordOrder(this.#work.db, by, order, this.#clock().earliest()));
  }

  preview(preview: Preview): Promise<void> {
    return this.#put((by) => askPreview(this.#work.db, by, preview));
  }

  async #put(work: (by: string) => Promise<void>): Promise<void> {
    const { state } = this;
    if (state.state === "away") throw new LedgerAwayError(`the ledger is away: ${state.reason}`);
    try {
      await work(this.#presence.run.instance);
    } catch (cause) {
      this.#failed(cause);
      const reason = describeDatabaseError(cause);
      throw new LedgerAwayError(`the ledger did not take it: ${reason}`, { cause });
    }
  }

  hear(hearer: LedgerHearer): void {
    const hearing = (this.#hearing = new Hearing(hearer));
    this.#looks = new Looks({
      db: this.#work.db,
      hearing,
      clock: () => this.#presence.clock,
      remembered: () => this.#presence.remembered,
    });
    void this.#look();
  }

  /** Says goodbye: others do not count on this replica any more. What it still finds out is told. */
  leave(): Promise<void> {
    return this.#presence.close();
  }

  close(): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  async #close(): Promise<void> {
    if (this.#isUp) await withTimeout(FAREWELL_MS, this.#flush());
    await Promise.all([this.#presence.close(), this.#questions.close(), this.#work.close()]);
  }

  get #isUp(): boolean {
    return this.state.state === "up";
  }

  /** @throws Error before the database was ever reached */
  #clock(): ServerClock {
    const { clock } = this.#presence;
    if (!clock) throw new Error("the database was not reached yet");
    return clock;
  }

  async #flush(): Promise<void> {
    try {
      await this.#outbox.flush();
      if (this.#outbox.takeLoss()) this.#hearing?.lost();
    } catch (error) {
      // It is tried again with the next heartbeat.
      this.#failed(error);
    }
  }

  #changed(state: LedgerState): void {
    if (state.state === "up") {
      this.#mustLook = true;
      this.#ups += 1;
      this.#looks?.beginAgain();
      // So that the first request does not wait for a connection.
      sql`select 1`.execute(this.#questions.db).catch((error: unknown) => this.#failed(error));
    }
    this.#options.events.changed(state);
  }

  #beaten(): void {
    this.#asking.trust();
    this.#histories.trust();
    // Notifications come over the connection of the heartbeat, before its answer.
    if (this.#caughtUp === this.#ups && this.#hearing?.isIdle === true) this.#heardAt = now();
    void this.#flush();
    const { lookMs = LOOK_MS } = this.#options;
    if (this.#mustLook || now() - (this.#lookedAt ?? 0) >= lookMs) void this.#look();
    if (now() - this.#tidiedAt >= TIDY_MS) void this.#tidy();
  }

  #notified(text: string): void {
    const { by, what } = parseNotification(text);
    const hearing = this.#hearing;
    if (!hearing || by === this.#presence.run.instance) return;
    if (what === undefined || hearing.isFull) {
      this.#mustLook = true;
      void this.#look();
      return;
    }
    const message = parseMessage(what);
    if (!message) return;
    void hearing.hand(() => {
      const { clock } = this.#presence;
      return clock && newsOf(message, clock);
    });
  }

  async #look(): Promise<void> {
    const [hearing, looks] = [this.#hearing, this.#looks];
    if (!hearing || !looks || this.#isLooking || !this.#isUp) return;
    this.#isLooking = true;
    this.#mustLook = false;
    const [startedAt, up] = [now(), this.#ups];
    try {
      await looks.look();
      this.#lookedAt = startedAt;
      this.#heardAt = startedAt;
      if (up > this.#caughtUp) void hearing.caughtUp();
      this.#caughtUp = up;
    } catch (error) {
      this.#mustLook = true;
      this.#failed(error);
    } finally {
      this.#isLooking = false;
    }
  }

  async #tidy(): Promise<void> {
    this.#tidiedAt = now();
    await tidyDaily(this.#work.db, this.#presence.run.id).catch((error: unknown) => {
      this.#failed(error);
    });
  }

  #failed(error: unknown): void {
    if (isRefusal(error)) this.#presence.fail(error);
    // The heartbeat decides whether it is the database that failed.
    else if (!isOfStatement(error)) this.#presence.doubt();
  }
}

function now(): number {
  return performance.now();
}
