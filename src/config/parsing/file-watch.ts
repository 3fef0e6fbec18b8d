import { statSync } from "node:fs";

/** How often files are looked at, in milliseconds. */
const INTERVAL = 500;

/**
 * Tells when one of some files has changed and then stayed as it was for a look: a file that is being
 * written is half of one.
 *
 * It looks at them instead of being told by the system: Kubernetes changes a Secret by turning a link
 * two folders up, editors put another file in its place, and network file systems tell nobody. A look
 * at ten files costs some microseconds.
 */
export class FileWatch {
  readonly #changed: () => void;
  readonly #timer: ReturnType<typeof setInterval>;
  #files: readonly string[] = [];
  #taken = "";
  #last = "";

  constructor(changed: () => void, interval: number = INTERVAL) {
    this.#changed = changed;
    this.#timer = setInterval(() => this.#look(), interval);
    this.#timer.unref();
  }

  /** Watches these from now on. `seen`: their fingerprint when they were read. */
  watch(files: Iterable<string>, seen: string): void {
    this.#files = [...files];
    this.#taken = seen;
    this.#last = seen;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const now = fingerprint(this.#files);
    const isSettled = now === this.#last;
    this.#last = now;
    if (!isSettled || now === this.#taken) return;
    this.#taken = now;
    this.#changed();
  }
}

/** Changes when one of the files does, through all links on the way. */
export function fingerprint(files: readonly string[]): string {
  return files
    .map((file) => {
      const found = statSync(file, { bigint: true, throwIfNoEntry: false });
      return found ? `${found.ino} ${found.size} ${found.mtimeNs} ${found.ctimeNs}` : "none";
    })
    .join("\n");
}
