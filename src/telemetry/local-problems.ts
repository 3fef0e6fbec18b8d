import type { LocalLimit } from "../oci/fault.ts";
import { secondsText } from "../oci/seconds-text.ts";
import type { Log } from "./log.ts";
import { NoticedProblems } from "./noticed-problems.ts";

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
  "kubernetes",
  "kept-images",
  "audit",
  "drill",
] as const satisfies readonly (LocalLimit | OtherProblem)[];

type OtherProblem =
  | "slow-disk"
  | "failing-reads"
  | "failing-writes"
  | "inodes"
  /** The cluster whose images are wanted cannot be read. */
  | "kubernetes"
  /** There is no room to keep all that it runs. */
  | "kept-images"
  /** Who pulls what cannot be written down. */
  | "audit"
  /** An upstream counts as dead, since an operator wanted it so. */
  | "drill";

export type LocalProblemKind = (typeof LOCAL_PROBLEM_KINDS)[number];

export interface LocalProblem {
  readonly kind: LocalProblemKind;
  /** What is wrong, and what to do; and when it was last noticed, if that is a while ago. */
  readonly text: string;
}

/** Not noticed for so long, it may be over already, in milliseconds. */
const RECENT_MS = 5000;

/**
 * What is wrong with this machine, so that no registry is blamed for it: noticed by whatever meets it,
 * shown by `status`, `/metrics` and the log. Its beginning and its end are logged once each, however
 * many requests notice it.
 */
export class LocalProblems {
  readonly #recent: number;
  readonly #noticed: NoticedProblems<LocalProblem>;
  readonly #counts = new Map<LocalProblemKind, number>();

  /** @param times in milliseconds */
  constructor(
    log: Log,
    { overAfter, recent = RECENT_MS }: { overAfter?: number; recent?: number } = {},
  ) {
    this.#recent = recent;
    const over = "a problem of this machine is over";
    this.#noticed = new NoticedProblems({ log, over, overAfter });
  }

  /**
   * @param text what is wrong, with its figures, and what to do: the newest is shown
   * @param stays until it is said to be over, however long it is not noticed again
   */
  notice(kind: LocalProblemKind, text: string, { stays = false } = {}): void {
    this.#counts.set(kind, this.count(kind) + 1);
    this.#noticed.notice(kind, { kind, text }, stays);
  }

  /** It is known to be over; nothing happens if it was none. */
  over(kind: LocalProblemKind): void {
    this.#noticed.over(kind);
  }

  /** What is wrong now, or was a while ago, each with what to do. */
  get current(): readonly LocalProblem[] {
    return this.#noticed.current.map(({ problem: { kind, text }, age }) => {
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
}
