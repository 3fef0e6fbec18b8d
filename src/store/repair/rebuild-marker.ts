import { existsSync } from "node:fs";
import { removeFileSync } from "../remove-file.ts";
import { replaceFile } from "../replace-file.ts";

/** How long it is waited at most for what a rebuild restores, since it became necessary, in milliseconds. */
const RESTORING_MS = 10_000;

/** How often the metadata database was replaced by an empty one, and rebuilt from the store's files. */
export interface RebuildState {
  /** Rebuilds that became necessary since the start, including one that an earlier process left unfinished. */
  readonly started: number;
  /** How many of them are finished: while it is less than `started`, the metadata is incomplete. */
  readonly finished: number;
}

/**
 * A file beside the metadata database which marks it as incomplete, so that a rebuild that a crash
 * interrupted is resumed by the next process.
 */
export class RebuildMarker implements RebuildState {
  readonly #path: string;
  #started = 0;
  #finished = 0;
  #restoring: Restoring | undefined;

  /** @param metadataPath of the metadata database */
  constructor(metadataPath: string) {
    this.#path = `${metadataPath}.rebuilding`;
    if (!existsSync(this.#path)) return;
    this.#started = 1;
    this.#restoring = restoring();
  }

  /**
   * Resolves once all sidecar files were read, or that takes too long; `undefined` if it is not waited for. Until
   * then, a tag that is known seems to be new.
   */
  get restoring(): Promise<void> | undefined {
    return this.#restoring?.ended;
  }

  get started(): number {
    return this.#started;
  }

  get finished(): number {
    return this.#finished;
  }

  /** Marks the database as incomplete; called before it is replaced. */
  begin(): void {
    this.#started += 1;
    this.#restoring ??= restoring();
    replaceFile(this.#path, "", true);
  }

  /**
   * All sidecar files were read.
   *
   * @param started the value of `started` when the rebuild began
   */
  restored(started: number): void {
    if (started !== this.#started) return;
    this.#restoring?.end();
    this.#restoring = undefined;
  }

  /**
   * Ends a rebuild, and removes the mark unless another one has become necessary meanwhile.
   *
   * @param started the value of `started` when the rebuild began
   */
  end(started: number): void {
    this.#finished = started;
    if (started === this.#started) removeFileSync(this.#path);
  }
}

interface Restoring {
  readonly ended: Promise<void>;
  readonly end: () => void;
}

function restoring(): Restoring {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, RESTORING_MS).unref();
  const end = (): void => {
    clearTimeout(timer);
    resolve();
  };
  return { ended: promise, end };
}
