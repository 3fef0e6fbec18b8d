import { Fault } from "../../oci/fault.ts";
import { systemCode } from "../storage-fault.ts";

/** How long nothing is stored after the disk was found full, in milliseconds; then it is retried. */
const RETRY_AFTER = 2000;
/** The most that `RETRY_AFTER` is doubled to, in milliseconds, for a disk that is full again and again. */
const MAX_RETRY_AFTER = 8000;
/** A disk that is full again within this time after it recovered was not well meanwhile, in milliseconds. */
const RELAPSE_WITHIN = 60_000;
/** How long no write fails before little space counts as space, in milliseconds. */
const STORED_FOR = 60_000;

/** Error codes for a lack of space: that one blob fits does not say that the next one does. */
const SPACE_CODES: ReadonlySet<string> = new Set(["ENOSPC", "EDQUOT", "SQLITE_FULL"]);
/** Error codes of a disk that fails: nothing at all can be written, and free space says nothing about it. */
const FAILURE_CODES: ReadonlySet<string> = new Set([
  "EROFS",
  "EIO",
  "EUCLEAN",
  "ENODEV",
  "ENOTCONN",
  "ESTALE",
]);

export interface DiskFullOptions {
  /** Called once when nothing can be stored any more, and once when it can again. */
  readonly onChange: (state: { readonly isFull: boolean; readonly reason: string }) => void;
  /** A monotonic clock, in milliseconds. */
  readonly clock: () => number;
}

/**
 * Whether the disk is full (or read-only, or failing), so that nothing at all can be stored, and when
 * storing is retried: a circuit breaker with exponential back-off, from 2 s up to 8 s.
 */
export class DiskFullState {
  readonly #onChange: DiskFullOptions["onChange"];
  readonly #clock: () => number;
  #since: number | undefined;
  #reason = "";
  #lacksSpace = true;
  #recoveredAt = -Infinity;
  #retryAfter = RETRY_AFTER;

  constructor({ onChange, clock }: DiskFullOptions) {
    this.#onChange = onChange;
    this.#clock = clock;
  }

  get isFull(): boolean {
    return this.#since !== undefined;
  }

  /** Whether the disk fails to write, so that free space says nothing. */
  get isFailing(): boolean {
    return this.isFull && !this.#lacksSpace;
  }

  /** Why nothing can be stored; empty while `isFull` is false. */
  get reason(): string {
    return this.isFull ? this.#reason : "";
  }

  /** Whether a write may be attempted: the disk is not full, or its back-off is over. */
  shouldRetry(): boolean {
    return this.#since === undefined || this.#clock() - this.#since > this.#retryAfter;
  }

  /**
   * Records a write that failed; errors that concern a single blob only are ignored. Returns whether this one says
   * that nothing can be stored.
   */
  recordFailure(error: unknown): boolean {
    const cause = error instanceof Fault ? error.cause : error;
    const code = systemCode(cause) ?? "";
    const lacksSpace = SPACE_CODES.has(code);
    if (!lacksSpace && !FAILURE_CODES.has(code)) return false;
    this.markFull(error instanceof Error ? error.message : code);
    this.#lacksSpace = lacksSpace;
    return true;
  }

  /** Opens the circuit: nothing can be stored for now. Returns the `no-space` Fault to fail with. */
  markFull(reason: string): Fault {
    const now = this.#clock();
    const isNew = this.#since === undefined;
    this.#since = now;
    this.#reason = reason;
    this.#lacksSpace = true;
    if (isNew) {
      // A disk that is full again soon is retried less often, so that `onChange` is not called each time.
      const isRelapse = now - this.#recoveredAt < RELAPSE_WITHIN;
      this.#retryAfter = isRelapse ? Math.min(MAX_RETRY_AFTER, this.#retryAfter * 2) : RETRY_AFTER;
    }
    if (isNew) this.#onChange({ isFull: true, reason });
    return new Fault({ kind: "no-space", reason });
  }

  /** Records a blob that was stored: a disk that failed has recovered, and one without space after 60 s. */
  recordSuccess(): void {
    if (this.#since === undefined) return;
    if (!this.#lacksSpace || this.#clock() - this.#since > STORED_FOR) this.#recover();
  }

  /** Records whether there is space. A disk that failed is tried again however much there is. */
  measured(hasSpace: boolean): void {
    if (hasSpace || !this.#lacksSpace) this.#recover();
  }

  /** Closes the circuit, if the back-off is over. */
  #recover(): void {
    if (!this.isFull || !this.shouldRetry()) return;
    this.#since = undefined;
    this.#recoveredAt = this.#clock();
    this.#onChange({ isFull: false, reason: "" });
  }
}
