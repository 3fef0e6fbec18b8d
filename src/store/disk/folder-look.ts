import { statSync } from "node:fs";
import { systemCode } from "../storage-fault.ts";

/** How old a look may be, in milliseconds. One takes some microseconds, so it costs hits nothing. */
const MAX_AGE_MS = 20;

/** Tells when somebody has removed a folder, or put another one in its place. */
export class FolderLook {
  readonly #path: string;
  readonly #clock: () => number;
  #known: string;
  #lookedAt = -Infinity;

  constructor(path: string, clock: () => number = () => performance.now()) {
    this.#path = path;
    this.#clock = clock;
    this.#known = identityOf(path) ?? "";
  }

  /** Whether it is no longer the one that it was when this was asked last, unless that was just now. */
  hasVanished(): boolean {
    const now = this.#clock();
    if (now - this.#lookedAt < MAX_AGE_MS) return false;
    this.#lookedAt = now;
    const identity = identityOf(this.#path) ?? this.#known;
    const isOther = identity !== this.#known;
    this.#known = identity;
    return isOther;
  }
}

/** Device and inode; empty if it is missing. A disk that fails for a moment says nothing. */
function identityOf(path: string): string | undefined {
  try {
    const { dev, ino } = statSync(path, { bigint: true });
    return `${dev}:${ino}`;
  } catch (cause) {
    const code = systemCode(cause);
    return code === "ENOENT" || code === "ENOTDIR" ? "" : undefined;
  }
}
