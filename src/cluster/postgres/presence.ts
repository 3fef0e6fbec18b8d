import type { DatabaseSettings } from "../../config/database-settings.ts";
import type { LedgerAbsence, LedgerState } from "../ledger/ledger.ts";
import { describeDatabaseError, isDenied } from "../database/database-error.ts";
import { type Beat, beat, type ReplicaIdentity, type ReplicaRun, sayGoodbye } from "./heartbeat.ts";
import { NewerLedgerError } from "../database/migrations.ts";
import { ServerClock } from "../database/server-clock.ts";
import { Session } from "../database/session.ts";

export interface PresenceEvents {
  /** Before anything else: brings the tables up to date. */
  prepare(): Promise<void>;
  /** Tells what could not be told. The database is not there before it takes that. */
  catchUp(): Promise<void>;
  /** A heartbeat was answered. Notifications are heard. */
  beaten(beat: Beat): void;
  notified(text: string): void;
  /** `state` has become another one. */
  changed(state: LedgerState): void;
}

export interface PresenceOptions {
  readonly settings: DatabaseSettings;
  readonly replica: ReplicaIdentity;
  readonly events: PresenceEvents;
  /** The last look since the database was reached, for it to remember. */
  readonly heard: () => string | undefined;
  readonly now: () => number;
  /** How often it says that it is alive, and how soon it tries again, in milliseconds. */
  readonly beatMs: number;
}

/** Pauses after failures become longer: the longest, and how they grow. */
const LONGEST_PAUSE_MS = 10_000;
const PAUSE_GROWTH = 1.5;
/** How long saying goodbye may take. */
const GOODBYE_MS = 1000;
/** After having been there for so long, it is tried again soon. */
const STEADY_MS = 5000;

/** Another replica has the id of this one. */
class TakenIdError extends Error {
  override readonly name = "TakenIdError";

  constructor(id: string) {
    super(
      `another replica says that it is reached at ${id} too: give each its own cluster.advertise`,
    );
  }
}

/**
 * Keeps a replica present in the database, by a heartbeat each second, whatever becomes of the connection. The
 * heartbeat decides whether the database is there at all.
 */
export class Presence {
  readonly run: ReplicaRun;
  readonly #options: PresenceOptions;
  #state: LedgerState;
  #clock: ServerClock | undefined;
  #isClosed = false;
  #wake = Promise.withResolvers<void>();
  #failure: unknown;
  #current: Session | undefined;
  #pause: number;
  /** Whether this run has had the id. */
  #hasId = false;
  #remembered: string | undefined;
  readonly #ended: Promise<void>;

  constructor(options: PresenceOptions) {
    this.#options = options;
    this.#pause = options.beatMs;
    this.run = { ...options.replica, instance: crypto.randomUUID() };
    const reason = "it was not reached yet";
    this.#state = { state: "away", absence: "silent", reason, since: Date.now() };
    this.#ended = this.#stay();
  }

  get state(): LedgerState {
    return this.#state;
  }

  /** The server's clock; `undefined` before it was ever reached. */
  get clock(): ServerClock | undefined {
    return this.#clock;
  }

  /** The last look of this replica that the database remembered when it was reached. */
  get remembered(): string | undefined {
    return this.#remembered;
  }

  /** Has the next heartbeat sent at once: something makes it doubtful that the database is there. */
  doubt(): void {
    if (this.#state.state === "up") this.#wake.resolve();
  }

  /** The database answers, but does not do what it has to. It is away until it does. */
  fail(error: unknown): void {
    this.#failure = error;
    this.doubt();
  }

  /** Says goodbye, if the database is there. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#wake.resolve();
    const timer = setTimeout(() => this.#current?.abort(), GOODBYE_MS);
    await this.#ended;
    clearTimeout(timer);
  }

  async #stay(): Promise<void> {
    while (!this.#isClosed) {
      const startedAt = this.#options.now();
      try {
        this.#failure = undefined;
        await this.#session();
      } catch (error) {
        if (this.#options.now() - startedAt > STEADY_MS) this.#pause = this.#options.beatMs;
        this.#isAway(error);
        // Replicas that lost the database at once do not come back at once.
        await this.#sleep(this.#pause * (0.75 + Math.random() / 2));
        this.#pause = Math.min(this.#pause * PAUSE_GROWTH, LONGEST_PAUSE_MS);
      }
    }
  }

  /** Until it is closed. */
  async #session(): Promise<void> {
    const { settings, events, beatMs } = this.#options;
    await using session = new Session(settings, (text) => events.notified(text));
    this.#current = session;
    await session.open();
    await events.prepare();
    const first = await this.#beat(session, "first");
    this.#remembered = first.heard;
    await session.listen();
    await events.catchUp();
    this.#become({ state: "up", since: Date.now() });
    events.beaten(first);
    let isOver = false;
    session.whenBroken(() => {
      if (!isOver) this.#wake.resolve();
    });
    try {
      for (;;) {
        await this.#sleep(beatMs);
        if (this.#isClosed) break;
        if (this.#failure !== undefined) throw this.#failure;
        events.beaten(await this.#beat(session, "next"));
      }
      await sayGoodbye(session.client, this.run).catch(() => {});
    } finally {
      isOver = true;
    }
  }

  async #beat(session: Session, which: "first" | "next"): Promise<Beat> {
    const { heard, now } = this.#options;
    const sent = now();
    const looked = which === "first" ? undefined : heard();
    const answer = await beat(session.client, this.run, looked, !this.#hasId);
    if (answer.isTaken) throw new TakenIdError(this.run.id);
    this.#hasId = true;
    const received = now();
    // Another server may have taken the place of the one before.
    if (this.#clock && which === "next") this.#clock.hear(answer.now, sent, received);
    else this.#clock = new ServerClock(answer.now, sent, received, now);
    return answer;
  }

  /** Less, if there is something to do. */
  async #sleep(milliseconds: number): Promise<void> {
    if (this.#isClosed) return;
    const timer = setTimeout(() => this.#wake.resolve(), milliseconds);
    await this.#wake.promise;
    clearTimeout(timer);
    this.#wake = Promise.withResolvers();
  }

  #isAway(error: unknown): void {
    const before = this.#state;
    const reason = reasonOf(error);
    if (before.state === "away" && before.reason === reason) return;
    const since = before.state === "away" ? before.since : Date.now();
    this.#become({ state: "away", absence: absenceOf(error), reason, since });
  }

  #become(state: LedgerState): void {
    this.#state = state;
    this.#options.events.changed(state);
  }
}

/** What an error says of the ledger. */
export function absenceOf(error: unknown): LedgerAbsence {
  if (error instanceof TakenIdError) return "taken-id";
  if (error instanceof NewerLedgerError) return "newer";
  return isDenied(error) ? "refused" : "silent";
}

/** The same for people. */
export function reasonOf(error: unknown): string {
  const isOurs = error instanceof TakenIdError || error instanceof NewerLedgerError;
  return isOurs ? error.message : describeDatabaseError(error);
}
