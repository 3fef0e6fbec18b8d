/** Pages of the write-ahead log (16 MiB) after which it is put into the file, more or less. */
export const LOG_PAGES = 4096;

/**
 * As text, since a single executable has no file that a worker could be started from. It has a
 * connection only for as long as it works: the last one to be closed is to be the index's own.
 */
const PROGRAM = `
import { Database } from "bun:sqlite";
self.onmessage = ({ data }) => {
  try {
    const database = new Database(data, { readwrite: true });
    try {
      database.query("PRAGMA wal_checkpoint(PASSIVE)").values();
    } finally {
      database.close();
    }
  } finally {
    self.postMessage("done");
  }
};
`;

/**
 * Puts the write-ahead log of a SQLite file into the file from a thread of its own: it waits for the
 * disk, 10 to 60 ms in which nobody else could be answered.
 */
export class Checkpointer {
  readonly #path: string;
  #worker: Worker | undefined;
  #isWorking = false;
  #isBroken = false;
  #pages = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /** Rows that a statement changed: each is in a page of the table, and in one of some indexes. */
  wrote(rows: number): void {
    this.#pages += rows + 3;
    if (this.#pages < LOG_PAGES || this.#isWorking || this.#isBroken) return;
    this.#pages = 0;
    this.#isWorking = true;
    this.#worker ??= this.#start();
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker has none, a window has
    this.#worker.postMessage(this.#path);
  }

  close(): void {
    this.#isBroken = true;
    this.#worker?.terminate();
    this.#worker = undefined;
  }

  #start(): Worker {
    const url = URL.createObjectURL(new Blob([PROGRAM], { type: "application/javascript" }));
    const worker = new Worker(url);
    worker.unref();
    worker.addEventListener("message", () => {
      this.#isWorking = false;
    });
    // SQLite then does it by itself, at a longer log.
    worker.addEventListener("error", () => this.close());
    return worker;
  }
}
