import { setTimeout } from "node:timers/promises";
import { LRUCache } from "lru-cache";
import type { Digest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import { freeBytes } from "../../process/free-bytes.ts";
import type { BlobStore } from "../../store/blob-store.ts";
import { type ReadFailure, RateLimiter, verifyStored } from "../../store/repair/scrub.ts";
import { isMediumError, systemCode } from "../../store/storage-fault.ts";
import type { Storage } from "../retention/storage.ts";
import { HourlyLimit } from "./hourly-limit.ts";

/** How often blobs that could not be read are tried again, in milliseconds. */
const ROUND_MS = 2000;
/** A failing disk may take many seconds for each read, so a round ends after this many failed ones. */
const FAILURES_PER_ROUND = 32;
/** For how long reads of a blob must have failed before its file is moved, in milliseconds. */
const MOVED_AFTER_MS = 3000;
/** How many such files are moved per hour: the quarantine keeps 16. */
const MOVES_PER_HOUR = 4;
/** More blobs that the disk cannot read than this: it is the disk that fails, not these blobs. */
const MAX_BAD_BLOBS = 8;
/** How many other blobs, those used least recently, show whether the disk can read at all. */
const CONTROLS = 4;

/** How much is read at once, in bytes. */
const READ_BYTES = 128 * 1024;
/** How much is read of a blob that could not be read before, in bytes: as a look at a broken response may. */
const LOOK_BYTES = 2 * 1024 * 1024;

/** Bytes per second, and per hour, of blobs that are read as a whole. */
const VERIFY_RATE = 64 * 1024 * 1024;
const VERIFY_BYTES_PER_HOUR = 2 * 1024 ** 3;
/** A blob is read as a whole once in this time, in milliseconds. */
const VERIFY_INTERVAL_MS = 3_600_000;
const MAX_WAITING = 64;

export interface SecondLookEvents {
  /** A blob was found corrupt, and moved to the quarantine. */
  corrupt(digest: Digest): void;
  /** The disk cannot read a blob, and others it can: it was moved to the quarantine. */
  movedOut(digest: Digest): void;
  /** The disk cannot read a blob, and maybe no other: none is moved. */
  diskFailing(): void;
  /** A blob can be read again. */
  readableAgain(digest: Digest): void;
  /** Background work failed. It is retried. */
  failed(task: string, error: unknown): void;
}

/**
 * Looks again at blobs that could not be read, or not be sent, beside traffic, and decides what becomes
 * of them:
 * - read again: served from their files again;
 * - corrupt: moved to the quarantine;
 * - unreadable, though the disk reads others: moved to the quarantine, a few per hour. A bad sector is
 *   then not used again;
 * - unreadable for another reason, such as a permission, or because the whole disk may be failing: kept,
 *   and tried again.
 */
export class SecondLooks implements AsyncDisposable {
  readonly #storage: Pick<Storage, "store" | "blobs" | "metadata" | "admin">;
  readonly #inUse: (digest: Digest) => boolean;
  readonly #events: SecondLookEvents;
  readonly #abort = new AbortController();
  readonly #moves = new HourlyLimit(MOVES_PER_HOUR);
  readonly #verifiedBytes = new HourlyLimit(VERIFY_BYTES_PER_HOUR);
  readonly #toVerify = new Set<Digest>();
  readonly #verified = new LRUCache<Digest, true>({ max: 1024, ttl: VERIFY_INTERVAL_MS });
  readonly #loop: Promise<void>;

  /** @param inUse whether a blob is being filled, or followers of its fill still read it */
  constructor(
    storage: Pick<Storage, "store" | "blobs" | "metadata" | "admin">,
    inUse: (digest: Digest) => boolean,
    events: SecondLookEvents,
  ) {
    this.#storage = storage;
    this.#inUse = inUse;
    this.#events = events;
    this.#loop = this.#run();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    await this.#loop;
  }

  /**
   * Reads a part of a blob. If that fails, the blob counts as missing from now on.
   *
   * @param first where to begin, in bytes
   * @param length at most, in bytes
   */
  async lookAt(digest: Digest, first: number, length: number): Promise<void> {
    const found = await readAt(this.#storage.blobs, digest, first, length);
    if (found === "short") this.verifySoon(digest);
    else if (typeof found === "object") this.#storage.store.readFailed(digest, found.cause, first);
  }

  /** Reads a blob as a whole in the background, unless it was a while ago or that is too much. */
  verifySoon(digest: Digest): void {
    if (this.#toVerify.size < MAX_WAITING && !this.#verified.has(digest))
      this.#toVerify.add(digest);
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    const pause = (): Promise<boolean> =>
      setTimeout(ROUND_MS, true, { signal, ref: false }).catch(() => false);
    while (await pause()) {
      await this.#guarded("reading blobs again", () => this.#round());
      await this.#guarded("verifying a blob", () => this.#verifyNext());
    }
  }

  /** Tries each blob that could not be read again, the one that was tried longest ago first. */
  async #round(): Promise<void> {
    const { blobs, store } = this.#storage;
    const { unreadable } = store;
    let failures = 0;
    for (const [digest, { cause, at, since }] of unreadable.all()) {
      if (this.#abort.signal.aborted || failures >= FAILURES_PER_ROUND) return;
      const found = await readAt(blobs, digest, at);
      // It was stored anew, or evicted, meanwhile.
      if (!unreadable.has(digest)) continue;
      if (typeof found !== "object") {
        unreadable.delete(digest);
        if (found === "gone") continue;
        this.#events.readableAgain(digest);
        if (isMediumError(cause) || found === "short") this.verifySoon(digest);
        continue;
      }
      failures += 1;
      // Without descriptors, for example, nothing can be learnt in this round.
      if (!store.readFailed(digest, found.cause, at)) return;
      const isLost = isMediumError(found.cause) && performance.now() - since >= MOVED_AFTER_MS;
      if (isLost) await this.#moveOut(digest);
    }
  }

  async #moveOut(digest: Digest): Promise<void> {
    const { admin, store } = this.#storage;
    if (this.#inUse(digest)) return;
    if (!(await this.#readsOthers(digest))) {
      this.#events.diskFailing();
      return;
    }
    if (!store.unreadable.has(digest) || !this.#moves.take(1)) return;
    await this.#guarded("moving an unreadable blob to the quarantine", async () => {
      await admin.quarantine(digest, "unreadable");
      this.#events.movedOut(digest);
    });
  }

  /** Whether the disk reads other blobs. If there is none to try, all of it may be failing. */
  async #readsOthers(digest: Digest): Promise<boolean> {
    const { blobs, metadata, store } = this.#storage;
    const bad = store.unreadable.all().filter(([, { cause }]) => isMediumError(cause));
    if (bad.length > MAX_BAD_BLOBS) return false;
    // What was not used for long is not in the memory of the kernel.
    const reading = metadata.blobs.leastRecentlyUsed(MAX_BAD_BLOBS + CONTROLS);
    const page = (await reading.catch(() => undefined)) ?? [];
    const known = new Set([digest, ...bad.map(([other]) => other)]);
    const controls = page.filter(({ digest: other, size }) => size > 0 && !known.has(other));
    let [read, failed] = [0, 0];
    for (const control of controls.slice(0, CONTROLS)) {
      const found = await readAt(blobs, control.digest, 0);
      if (typeof found === "object") failed += 1;
      else if (found !== "gone") read += 1;
    }
    return read > failed;
  }

  async #verifyNext(): Promise<void> {
    const [digest] = this.#toVerify;
    if (digest === undefined) return;
    this.#toVerify.delete(digest);
    const { blobs, store, admin } = this.#storage;
    const { size = 0 } = (await this.#storage.metadata.blobs.get(digest)) ?? {};
    if (!this.#verifiedBytes.take(size)) return;
    this.#verified.set(digest, true);
    const { signal } = this.#abort;
    const limiter = new RateLimiter(VERIFY_RATE);
    const onRead = (count: number): Promise<void> => limiter.consume(count, signal);
    const verdict = await verifyStored(blobs, digest, onRead, signal);
    if (typeof verdict === "object") store.readFailed(digest, verdict.cause, verdict.at);
    if (verdict !== "corrupt" || !(await blobs.open(digest))) return;
    await admin.quarantine(digest);
    this.#events.corrupt(digest);
  }

  async #guarded(task: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!this.#abort.signal.aborted) this.#events.failed(task, error);
    }
  }
}

/** Opens a blob's file anew, and reads a part of it. `short` if the file ends before that. */
async function readAt(
  store: BlobStore,
  digest: Digest,
  first: number,
  length = LOOK_BYTES,
): Promise<"read" | "short" | "gone" | ReadFailure> {
  try {
    const stored = await store.open(digest, true);
    if (!stored) return "gone";
    if (stored.size === 0) return "read";
    const end = Math.min(stored.size, first + length);
    if (end <= first) return "short";
    for (let at = first; at < end; at += READ_BYTES) {
      const until = Math.min(end, at + READ_BYTES);
      const read = await stored.bytes.slice(at, until).bytes();
      if (read.byteLength < until - at) return "short";
      freeBytes(read);
    }
    return "read";
  } catch (error) {
    const cause = error instanceof Fault ? error.cause : error;
    if (systemCode(cause) === "ENOENT") return "gone";
    return { cause, at: first };
  }
}
