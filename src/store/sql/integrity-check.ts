/** A string, since a single-file executable has no separate file from which a worker could be started. */
const PROGRAM = `
import { Database } from "bun:sqlite";
self.onmessage = ({ data }) => {
  try {
    const database = new Database(data, { readonly: true });
    const [result] = database.query("PRAGMA quick_check(1)").values().flat();
    database.close();
    self.postMessage(String(result));
  } catch (error) {
    const isDamage = /^SQLITE_(?:CORRUPT|NOTADB)/.test(String(error.code));
    self.postMessage(isDamage ? String(error.message) : undefined);
  }
};
`;

/**
 * Checks the integrity of a SQLite file in a thread of its own, while it is in use. It reads all of the file, which
 * takes seconds for a million blobs.
 */
export class IntegrityCheck {
  readonly #worker: Worker;

  /** @param onChecked called with `ok` or what is wrong, but not if the file could not be checked */
  constructor(path: string, onChecked: (result: string) => void) {
    const url = URL.createObjectURL(new Blob([PROGRAM], { type: "application/javascript" }));
    this.#worker = new Worker(url);
    this.#worker.unref();
    this.#worker.addEventListener("message", ({ data }) => {
      this.#worker.terminate();
      if (typeof data === "string") onChecked(data);
    });
    // A thread that cannot run has checked nothing.
    this.#worker.addEventListener("error", () => this.#worker.terminate());
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker has none, a window has
    this.#worker.postMessage(path);
  }

  stop(): void {
    this.#worker.terminate();
  }
}
