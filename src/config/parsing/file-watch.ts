import { statSync } from "node:fs";

/** The polling interval in milliseconds. */
const INTERVAL = 500;

/**
 * Watches files by polling, and calls back once a change has been stable for one interval, so that a
 * partly written file is not read.
 *
 * It polls because file system events are not enough: Kubernetes updates a Secret by replacing a symbolic
 * link two directories up, editors replace files, and network file systems send no events. Polling ten
 * files takes a few microseconds.
 */
export class FileWatch {
  readonly #changed: () => void;
  readonly #timer: ReturnType<typeof setInterval>;
  #files: readonly string[] = [];
  #reported = "";
  #last = "";

  constructor(changed: () => void, interval: number = INTERVAL) {
    this.#changed = changed;
    this.#timer = setInterval(() => this.#check(), interval);
    this.#timer.unref();
  }

  /**
   * Replaces the watched files.
   *
   * @param initial the fingerprint of the files when they were read
   */
  watch(files: Iterable<string>, initial: string): void {
    this.#files = [...files];
    this.#reported = initial;
    this.#last = initial;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #check(): void {
    const current = fingerprint(this.#files);
    const isStable = current === this.#last;
    this.#last = current;
    if (!isStable || current === this.#reported) return;
    this.#reported = current;
    this.#changed();
  }
}

/**
 * A text that changes when one of the files does, or when it becomes unreadable. Follows symbolic links.
 */
export function fingerprint(files: readonly string[]): string {
  return files.map(stateOf).join("\n");
}

function stateOf(file: string): string {
  try {
    const { ino, size, mtimeNs, ctimeNs } = statSync(file, { bigint: true });
    return `${ino} ${size} ${mtimeNs} ${ctimeNs}`;
  } catch (error) {
    // Also a state: what to do about it is for whoever reads the file next.
    return error instanceof Error && "code" in error ? String(error.code) : "unreadable";
  }
}
