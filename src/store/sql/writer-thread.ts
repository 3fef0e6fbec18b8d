import type { StatementResult, Statements } from "./sqlite-dialect.ts";

/** Pages of the write-ahead log (16 MiB) after which SQLite puts it into the file. */
export const LOG_PAGES = 4096;

/**
 * How long a statement waits for a lock of another process that kept one waiting in vain already, in
 * milliseconds: those that wait behind one another would be answered after a minute.
 */
const LOCKED_TIMEOUT = 50;

/** As text, since a single executable has no file that a thread could be started from. */
const PROGRAM = `
import { Database } from "bun:sqlite";
const statements = new Map();
let database;
let patience;
let isLocked = false;
function wait(milliseconds) {
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
      patience = data.open.patience;
      wait(patience.first);
      for (const pragma of data.open.pragmas) database.run(pragma);
    } else if (data.close) {
      for (const statement of statements.values()) statement.finalize();
      database.close();
      self.postMessage({ rows: [], changes: 0 });
    } else {
      const done = run(data);
      if (isLocked && done.changes > 0) {
        isLocked = false;
        wait(patience.first);
      }
      self.postMessage(done);
    }
  } catch (error) {
    if (data.open) throw error;
    if (!isLocked && String(error.code).startsWith("SQLITE_BUSY")) {
      isLocked = true;
      wait(patience.next);
    }
    self.postMessage({ failed: { message: String(error.message), code: String(error.code) } });
  }
};
`;

/** SQLite's refusal of a statement, as it came from the thread. */
export class WriterError extends Error {
  override readonly name = "WriterError";

  constructor(
    message: string,
    /** `SQLITE_FULL` and its like. */
    readonly code: string,
  ) {
    super(message);
  }
}

type Reply =
  StatementResult | { readonly failed: { readonly message: string; readonly code: string } };

/** Runs statements on a SQLite file in a thread of its own, for who must not wait for the disk. */
export class WriterThread implements Statements {
  readonly #fallback: Statements;
  readonly #worker: Worker;
  /** Those that wait for an answer, in order: one comes for each. */
  readonly #pending: PromiseWithResolvers<StatementResult>[] = [];
  #state: "open" | "broken" | "closed" = "open";

  /** @param instead runs what the thread does not, once it has ended by itself or never began */
  constructor(path: string, busyTimeout: number, instead: Statements, program: string = PROGRAM) {
    this.#fallback = instead;
    const url = URL.createObjectURL(new Blob([program], { type: "application/javascript" }));
    this.#worker = new Worker(url);
    this.#worker.unref();
    // The program above posts nothing else.
    this.#worker.addEventListener("message", ({ data }) => this.#onReply(data as Reply));
    this.#worker.addEventListener("error", ({ message }) => this.#onExit(message));
    const pragmas = [
      "PRAGMA synchronous = NORMAL",
      "PRAGMA foreign_keys = ON",
      `PRAGMA wal_autocheckpoint = ${LOG_PAGES}`,
    ];
    const patience = { first: busyTimeout, next: Math.min(busyTimeout, LOCKED_TIMEOUT) };
    this.#post({ open: { path, pragmas, patience } });
  }

  /** @throws WriterError */
  run(sql: string, parameters: readonly unknown[]): Promise<StatementResult> {
    if (this.#state === "open") return this.#request({ sql, parameters });
    if (this.#state === "broken") return this.#fallback.run(sql, parameters);
    return Promise.reject(new Error("it is closed"));
  }

  /** After what was asked before. */
  async close(): Promise<void> {
    const isOpen = this.#state === "open";
    this.#state = "closed";
    // What the thread does not close, its end does.
    if (isOpen) await this.#request({ close: true }).catch(() => {});
    this.#worker.terminate();
  }

  #request(question: object): Promise<StatementResult> {
    const answer = Promise.withResolvers<StatementResult>();
    // A process that has nothing else to do waits for it.
    if (this.#pending.push(answer) === 1) this.#worker.ref();
    this.#post(question);
    return answer.promise;
  }

  #post(message: object): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker has none, a window has
    this.#worker.postMessage(message);
  }

  #onReply(answer: Reply): void {
    const first = this.#pending.shift();
    if (this.#pending.length === 0) this.#worker.unref();
    if ("failed" in answer) {
      first?.reject(new WriterError(answer.failed.message, answer.failed.code));
    } else first?.resolve(answer);
  }

  #onExit(why: string): void {
    if (this.#state === "open") this.#state = "broken";
    this.#worker.terminate();
    for (const { reject } of this.#pending.splice(0)) reject(new Error(`its writer ended: ${why}`));
  }
}
