import { Fault } from "../../oci/fault.ts";
import { systemCode } from "../storage-fault.ts";

/** How long nothing is stored after the disk was found full, before it is tried again, in milliseconds. */
const RETRY_AFTER = 2000;
const MAX_RETRY_AFTER = 60_000;

/** What the system says where nothing at all can be written. */
const FULL_CODES: ReadonlySet<string> = new Set([
  "ENOSPC",
  "EDQUOT",
  "EROFS",
  "EIO",
  "SQLITE_FULL",
]);

export interface DiskFullOptions {
  /** Told once when nothing can be stored any more, and once when it can again. */
  readonly onChange: (state: { readonly isFull: boolean; readonly reason: string }) => void;
  /** In milliseconds, on a clock that never goes back. */
  readonly clock: () => number;
}

/** Whether a disk takes nothing at all, and when it is worth another try. */
export class DiskFullState {
  readonly #onChange: DiskFullOptions["onChange"];
  readonly #clock: () => number;
  #since: number | undefined;
  #reason = "";
  #recoveredAt = -Infinity;
  #retryAfter = RETRY_AFTER;

  constructor({ onChange, clock }: DiskFullOptions) {
    this.#onChange = onChange;
    this.#clock = clock;
  }

  get isFull(): boolean {
    return this.#since !== undefined;
  }

  /** Empty where something can be stored. */
  get reason(): string {
    return this.isFull ? this.#reason : "";
  }

  shouldRetry(): boolean {
    return this.#since === undefined || this.#clock() - this.#since > this.#retryAfter;
  }

  /** Takes note of a write that failed; a disk that others filled counts as one that is full. */
  recordFailure(error: unknown): void {
    const cause = error instanceof Fault ? error.cause : error;
    const code = systemCode(cause) ?? "";
    if (FULL_CODES.has(code)) this.markFull(error instanceof Error ? error.message : code);
  }

  /** Nothing can be stored for now. Returns what to fail with. */
  markFull(reason: string): Fault {
    const now = this.#clock();
    const isNew = this.#since === undefined;
    this.#since = now;
    this.#reason = reason;
    if (isNew) {
      // A disk that fails again at once is tried less and less often, and not told of each time.
      const isAgain = now - this.#recoveredAt < MAX_RETRY_AFTER;
      this.#retryAfter = isAgain ? Math.min(MAX_RETRY_AFTER, this.#retryAfter * 2) : RETRY_AFTER;
    }
    if (isNew) this.#onChange({ isFull: true, reason });
    return new Fault({ kind: "no-space", reason });
  }

  /** Something was stored. A disk that has refused nothing for a while is full no more. */
  recordSuccess(): void {
    if (this.#since !== undefined && this.#clock() - this.#since > MAX_RETRY_AFTER) this.recover();
  }

  /** There is room again. */
  recover(): void {
    if (!this.isFull || !this.shouldRetry()) return;
    this.#since = undefined;
    this.#recoveredAt = this.#clock();
    this.#onChange({ isFull: false, reason: "" });
  }
}
