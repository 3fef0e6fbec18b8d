import type { StatementResult, Statements } from "./sqlite-dialect.ts";

/** SQLite checkpoints the write-ahead log when it has this many pages (16 MiB). */
export const LOG_PAGES = 4096;

/**
 * How long a statement waits for another process's lock after an earlier one has timed out on it, in
 * milliseconds. With the full timeout, a queue of statements would take a minute.
 */
const LOCKED_TIMEOUT = 50;

/** A string, since a single-file executable has no separate file from which a worker could be started. */
const PROGRAM = `
import { Database } from "bun:sqlite";
const statements = new Map();
let database;
let timeouts;
let isLocked = false;
function setBusyTimeout(milliseconds) {
  database.run("PRAGMA busy_timeout = " + milliseconds);
}
function run({ sql, parameters }) {
  let statement = statements.get(sql);
  if (!statement) {
    if (statements.size >= 128) {
      for (const old of statements.values()) old.finalize();
      statements.clear();
    }
    statement = database.prepare(sql);
    statements.set(sql, statement);
  }
  if (statement.columnNames.length > 0) return { rows: statement.all(...parameters), changes: 0 };
  return { rows: [], changes: statement.run(...parameters).changes };
}
self.onmessage = ({ data }) => {
  try {
    if (data.open) {
      database = new Database(data.open.path, { readwrite: true });
      timeouts = data.open.timeouts;
      setBusyTimeout(timeouts.first);
      for (const pragma of data.open.pragmas) database.run(pragma);
      self.postMessage({ rows: [], changes: 0 });
    } else if (data.close) {
      for (const statement of statements.values()) statement.finalize();
      database.close();
      self.postMessage({ rows: [], changes: 0 });
    } else {
      const result = run(data);
      if (isLocked && result.changes > 0) {
        isLocked = false;
        setBusyTimeout(timeouts.first);
      }
      self.postMessage(result);
    }
  } catch (error) {
    if (!isLocked && String(error.code).startsWith("SQLITE_BUSY")) {
      isLocked = true;
      setBusyTimeout(timeouts.next);
    }
    self.postMessage({ failed: { message: String(error.message), code: String(error.code) } });
  }
};
`;

/** The error of a statement that failed in the writer thread. */
export class WriterError extends Error {
  override readonly name = "WriterError";

  constructor(
    message: string,
    /** The code of SQLite, such as `SQLITE_FULL`. */
    readonly code: string,
  ) {
    super(message);
  }
}

type Reply =
  StatementResult | { readonly failed: { readonly message: string; readonly code: string } };

function startWorker(url: string): Worker {
  try {
    return new Worker(url);
  } catch (cause) {
    const message =
      "no thread can be started for it: raise the limits of memory (ulimit -v) and of processes (ulimit -u)";
    throw new Error(message, { cause });
  }
}

/** Runs statements on a SQLite file in a worker thread, so that the event loop does not wait for the disk. */
export class WriterThread implements Statements {
  readonly #fallback: Statements;
  readonly #worker: Worker;
  /** The requests without a reply yet. Replies come in the order of the requests, one for each. */
  readonly #pending: PromiseWithResolvers<StatementResult>[] = [];
  #state: "open" | "broken" | "closed" = "open";

  /**
   * @param busyTimeout how long a statement waits for another process's lock, in milliseconds
   * @param fallback runs the statements after the thread has failed or could not be started
   */
  constructor(path: string, busyTimeout: number, fallback: Statements, program: string = PROGRAM) {
    this.#fallback = fallback;
    const url = URL.createObjectURL(new Blob([program], { type: "application/javascript" }));
    this.#worker = startWorker(url);
    this.#worker.unref();
    // The program above posts no other messages.
    this.#worker.addEventListener("message", ({ data }) => this.#onReply(data as Reply));
    this.#worker.addEventListener("error", ({ message }) => this.#onExit(message));
    const pragmas = [
      "PRAGMA synchronous = NORMAL",
      "PRAGMA foreign_keys = ON",
      `PRAGMA wal_autocheckpoint = ${LOG_PAGES}`,
    ];
    const timeouts = { first: busyTimeout, next: Math.min(busyTimeout, LOCKED_TIMEOUT) };
    this.#request({ open: { path, pragmas, timeouts } }).catch((cause: unknown) =>
      this.#onExit(cause instanceof Error ? cause.message : String(cause)),
    );
  }

  /** @throws WriterError */
  run(sql: string, parameters: readonly unknown[]): Promise<StatementResult> {
    if (this.#state === "open") return this.#request({ sql, parameters });
    if (this.#state === "broken") return this.#fallback.run(sql, parameters);
    return Promise.reject(new Error("the database is closed"));
  }

  /** Ends the thread after the statements that were requested before. */
  async close(): Promise<void> {
    const isOpen = this.#state === "open";
    this.#state = "closed";
    // If the thread cannot close the database, its end does.
    if (isOpen) await this.#request({ close: true }).catch(() => {});
    this.#worker.terminate();
  }

  #request(message: object): Promise<StatementResult> {
    const reply = Promise.withResolvers<StatementResult>();
    // Keeps the process alive until the reply has come.
    if (this.#pending.push(reply) === 1) this.#worker.ref();
    this.#post(message);
    return reply.promise;
  }

  #post(message: object): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker has none, a window has
    this.#worker.postMessage(message);
  }

  #onReply(reply: Reply): void {
    const first = this.#pending.shift();
    if (this.#pending.length === 0) this.#worker.unref();
    if ("failed" in reply) {
      first?.reject(new WriterError(reply.failed.message, reply.failed.code));
    } else first?.resolve(reply);
  }

  #onExit(reason: string): void {
    if (this.#state === "open") this.#state = "broken";
    this.#worker.terminate();
    for (const { reject } of this.#pending.splice(0)) {
      reject(new Error(`the writer thread failed: ${reason}`));
    }
  }
}
