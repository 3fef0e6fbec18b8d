import type { Digest } from "../../oci/digest.ts";
import { RemovalLog } from "../../store/memory/removal-log.ts";

/** One for about every blob that is removed while a response is kept; blobs that share one invalidate each other. */
const SLOTS = 4096;

/** The words before the slots. */
const WORDS = 3;
const [REVISION, SCARCE, REMOVALS] = [0, 1, 2];

/**
 * What every thread has to know before it sends a response again, in shared memory: the main thread writes it as it
 * changes, and the others read it for each request.
 */
export class RevisionMemory implements Pick<RemovalLog, "now" | "since"> {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;

  constructor(memory = new SharedArrayBuffer((WORDS + SLOTS) * Int32Array.BYTES_PER_ELEMENT)) {
    this.memory = memory;
    this.#words = new Int32Array(memory);
  }

  /** As `Snapshot.revision`. */
  get revision(): number {
    return Atomics.load(this.#words, REVISION);
  }

  set revision(revision: number) {
    Atomics.store(this.#words, REVISION, revision);
  }

  /** Whether connections are to be closed after their next response. */
  get isScarce(): boolean {
    return Atomics.load(this.#words, SCARCE) === 1;
  }

  set isScarce(isScarce: boolean) {
    Atomics.store(this.#words, SCARCE, isScarce ? 1 : 0);
  }

  get now(): number {
    return Atomics.load(this.#words, REMOVALS);
  }

  /** Whether a blob, or one that shares its slot, may have been removed after a logical time. */
  since(time: number, digest: Digest): boolean {
    return Atomics.load(this.#words, slotOf(digest)) > time;
  }

  removed(digest: Digest, time: number): void {
    Atomics.store(this.#words, REMOVALS, time);
    Atomics.store(this.#words, slotOf(digest), time);
  }
}

/** Digests are random, so three of their digits are. */
function slotOf(digest: Digest): number {
  const first = digest.indexOf(":") + 1;
  return WORDS + Number.parseInt(digest.slice(first, first + 3), 16);
}

/** A log of removals that other threads can read. */
export class SharedRemovalLog extends RemovalLog {
  readonly #shared: RevisionMemory;

  constructor(shared: RevisionMemory) {
    super();
    this.#shared = shared;
  }

  override add(digest: Digest): void {
    super.add(digest);
    this.#shared.removed(digest, this.now);
  }
}
