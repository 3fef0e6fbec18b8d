import type { LocalLimit } from "../oci/fault.ts";
import { secondsText } from "../oci/seconds-text.ts";
import type { Log } from "./log.ts";

/** What can be wrong with the machine that the cache runs on, as metrics and alerts name it. */
export const LOCAL_PROBLEM_KINDS = [
  "slow-disk",
  "failing-reads",
  "failing-writes",
  "file-descriptors",
  "memory",
  "inodes",
  "processes",
  "ports",
  "permission",
] as const satisfies readonly (
  LocalLimit | "slow-disk" | "failing-reads" | "failing-writes" | "inodes"
)[];

export type LocalProblemKind = (typeof LOCAL_PROBLEM_KINDS)[number];

export interface LocalProblem {
  readonly kind: LocalProblemKind;
  /** What is wrong, and what to do; and when it was last noticed, if that is a while ago. */
  readonly text: string;
}

/** Without being noticed again for this long, a problem is over, in milliseconds. */
const OVER_AFTER_MS = 300_000;
const CHECK_INTERVAL_MS = 1000;
/** Not noticed for so long, it may be over already, in milliseconds. */
const RECENT_MS = 5000;

interface Noticed {
  text: string;
  at: number;
}

/**
 * What is wrong with this machine, so that no registry is blamed for it: noticed by whatever meets it,
 * shown by `status`, `/metrics` and the log. Its beginning and its end are logged once each, however
 * many requests notice it.
 */
export class LocalProblems {
  readonly #log: Log;
  readonly #overAfter: number;
  readonly #recent: number;
  readonly #noticed = new Map<LocalProblemKind, Noticed>();
  readonly #counts = new Map<LocalProblemKind, number>();
  #timer: ReturnType<typeof setInterval> | undefined;

  /** @param times in milliseconds */
  constructor(log: Log, { overAfter = OVER_AFTER_MS, recent = RECENT_MS } = {}) {
    this.#log = log;
    this.#overAfter = overAfter;
    this.#recent = recent;
  }

  /** @param text what is wrong, with its figures, and what to do: the newest is shown */
  notice(kind: LocalProblemKind, text: string): void {
    this.#counts.set(kind, this.count(kind) + 1);
    const known = this.#noticed.get(kind);
    if (!known) this.#log.warn({ problem: kind }, text);
    this.#noticed.set(kind, { text, at: performance.now() });
    this.#timer ??= setInterval(() => this.#check(), CHECK_INTERVAL_MS).unref();
  }

  /** What is wrong now, or was a while ago, each with what to do. */
  get current(): readonly LocalProblem[] {
    const now = performance.now();
    return [...this.#noticed].map(([kind, { text, at }]) => {
      const age = now - at;
      const when = age < this.#recent ? "" : ` (last noticed ${secondsText(age / 1000)} ago)`;
      return { kind, text: `${text}${when}` };
    });
  }

  isNow(kind: LocalProblemKind): boolean {
    return this.#noticed.has(kind);
  }

  /** How often it was noticed since the start. */
  count(kind: LocalProblemKind): number {
    return this.#counts.get(kind) ?? 0;
  }

  #check(): void {
    const over = performance.now() - this.#overAfter;
    for (const [kind, { at }] of this.#noticed) {
      if (at > over) continue;
      this.#noticed.delete(kind);
      this.#log.info({ problem: kind }, "a problem of this machine is over");
    }
    if (this.#noticed.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
