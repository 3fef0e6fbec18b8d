import { randomUUID } from "node:crypto";
import type { Job, Progress } from "../../../api/jobs.ts";
import { withTimeout } from "../../../cache/with-timeout.ts";
import type { Failures } from "../failures.ts";
import { ProblemError, problemDetails } from "../problem-details.ts";

/** How many jobs run at once: each reads or writes much of the store. */
const MAX_RUNNING = 4;
/** How many jobs are kept, ended ones included. */
const MAX_KEPT = 64;
/** How long jobs may take to end when the cache stops, in milliseconds. */
const CLOSE_MS = 5000;

/** What a job that is done did not reach of what it was for. */
export type Shortfall = Required<Pick<Job, "outcome" | "shortfall">>;

/** A result that says so itself. */
export class IncompleteResult {
  constructor(
    readonly result: object,
    readonly shortfall: Shortfall,
  ) {}
}

export interface JobOptions {
  /** `fsck`: one word, for programs. */
  readonly kind: string;
  /** What it does, for people: `Verify every stored byte`. */
  readonly title: string;
  /**
   * Does the work, and resolves with its result, which stays in memory as long as the job is listed: an
   * `IncompleteResult` if it did not reach all that it was for.
   *
   * @param signal aborts when the job is cancelled, or the cache stops
   */
  readonly run: (progress: (progress: Progress) => void, signal: AbortSignal) => Promise<object>;
}

interface Entry {
  job: Job;
  readonly cancellation: AbortController;
  readonly ended: Promise<void>;
  /** Resolves with each change, and is replaced by one for the next. */
  changed: PromiseWithResolvers<void>;
}

/** Long work that operators start, watch and cancel. It goes on when they go away. */
export class Jobs implements AsyncDisposable {
  readonly #entries = new Map<string, Entry>();
  readonly #onChange: (job: Job) => void;
  readonly #failures: Pick<Failures, "problem">;
  #isClosed = false;

  /** @param onChange called with each change of a job, its progress included */
  constructor(failures: Pick<Failures, "problem">, onChange: (job: Job) => void = () => {}) {
    this.#failures = failures;
    this.#onChange = onChange;
  }

  /** The last ones first. */
  get all(): readonly Job[] {
    return [...this.#entries.values()].map(({ job }) => job).toReversed();
  }

  /** @throws ProblemError if too many run, or the cache stops */
  start({ kind, title, run }: JobOptions): Job {
    this.#mustHaveRoom();
    const cancellation = new AbortController();
    const id = randomUUID();
    const job: Job = { id, kind, title, state: "running", startedAt: Date.now(), progress: {} };
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const entry: Entry = { job, cancellation, ended, changed: Promise.withResolvers() };
    this.#entries.set(id, entry);
    this.#dropOld();
    void this.#run(entry, run).then(end);
    return job;
  }

  /** @throws ProblemError if there is no such job, or none any more */
  get(id: string): Job {
    return this.#entry(id).job;
  }

  /**
   * Asks a job to end.
   *
   * @throws ProblemError if there is no such job, or it has ended
   */
  cancel(id: string): Job {
    const entry = this.#entry(id);
    const { state } = entry.job;
    if (state !== "running" && state !== "cancelling") {
      const detail = `the job ${id} has ended: it is ${state}`;
      throw new ProblemError({ status: 409, detail, next: "nothing needs to be done" });
    }
    this.#change(entry, { state: "cancelling" });
    entry.cancellation.abort();
    return entry.job;
  }

  /**
   * A job as it is now, and after each change, until it has ended. Changes that the reader is too slow for
   * are left out.
   *
   * @param interval the least time between two changes that are told, in milliseconds; the end is told at once
   * @throws ProblemError if there is no such job
   */
  watch(id: string, interval = 0): AsyncGenerator<Job> {
    return changesOf(this.#entry(id), interval);
  }

  /** Cancels all jobs, and waits for them for a while. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    const running = [...this.#entries.values()].filter(({ job }) => isActive(job));
    for (const { cancellation } of running) cancellation.abort();
    await withTimeout(CLOSE_MS, Promise.all(running.map(({ ended }) => ended)));
  }

  #entry(id: string): Entry {
    const entry = this.#entries.get(id);
    if (entry) return entry;
    const detail = `there is no job ${JSON.stringify(id.slice(0, 100))}: the last ${MAX_KEPT} since the start of the cache are kept`;
    throw new ProblemError({ status: 404, detail, next: "GET /api/v1/jobs lists them" });
  }

  #mustHaveRoom(): void {
    if (this.#isClosed) {
      const next = "ask again when it has started";
      throw new ProblemError({ status: 503, detail: "the cache is stopping", next });
    }
    const active = this.all.filter(isActive);
    if (active.length < MAX_RUNNING) return;
    const names = active.map(({ kind, id }) => `${kind} ${id}`).join(", ");
    const detail = `${MAX_RUNNING} jobs are running: ${names}`;
    const next = "wait until one has ended, or cancel one: entrepot jobs cancel ID";
    throw new ProblemError({ status: 503, detail, next });
  }

  #dropOld(): void {
    for (const [id, { job }] of this.#entries) {
      if (this.#entries.size <= MAX_KEPT) return;
      if (!isActive(job)) this.#entries.delete(id);
    }
  }

  async #run(entry: Entry, run: JobOptions["run"]): Promise<void> {
    const { signal } = entry.cancellation;
    const progress = (made: Progress): void => {
      if (isActive(entry.job)) this.#change(entry, { progress: made });
    };
    try {
      const ended = await run(progress, signal);
      const isIncomplete = ended instanceof IncompleteResult;
      const result = isIncomplete ? ended.result : ended;
      const state = signal.aborted ? "cancelled" : "done";
      const lacks = isIncomplete && state === "done" ? ended.shortfall : {};
      this.#change(entry, { state, ...lacks, result: { ...result }, endedAt: Date.now() });
    } catch (error) {
      const endedAt = Date.now();
      if (signal.aborted) this.#change(entry, { state: "cancelled", endedAt });
      else {
        const { id, kind: operation } = entry.job;
        const problem = problemDetails(this.#failures.problem(error, { operation, id }));
        this.#change(entry, { state: "failed", problem, endedAt });
      }
    }
  }

  #change(entry: Entry, change: Partial<Job>): void {
    entry.job = { ...entry.job, ...change };
    const { changed } = entry;
    entry.changed = Promise.withResolvers();
    changed.resolve();
    this.#onChange(entry.job);
  }
}

async function* changesOf(entry: Entry, interval: number): AsyncGenerator<Job> {
  for (;;) {
    const { job, changed } = entry;
    yield job;
    if (!isActive(job)) return;
    if (entry.job === job) await changed.promise;
    if (interval > 0) await withTimeout(interval, entry.ended);
  }
}

function isActive({ state }: Job): boolean {
  return state === "running" || state === "cancelling";
}
