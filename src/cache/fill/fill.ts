import { type Digest, newHasher } from "../../oci/digest.ts";
import { Fault, isLocalFault } from "../../oci/fault.ts";
import type { BlobStore, BlobWriter, StoredBlob } from "../../store/blob-store.ts";
import { BackOff, type BackOffOptions } from "./back-off.ts";
import { FetchLoop } from "./fetch-loop.ts";
import { Followers } from "./followers.ts";
import { type ResumePoint, WITHHELD_TAIL } from "./resume-point.ts";
import { TailBuffer } from "./tail-buffer.ts";
import { ReadCache } from "./read-cache.ts";
import type { Source } from "./source.ts";
import { SourceList } from "./source-list.ts";
import { toFault } from "./transient.ts";

/** Followers are woken after this many new bytes, or this many milliseconds after the first of them. */
const WAKE_BYTES = 256 * 1024;
const WAKE_DELAY_MS = 5;

/** The most restarts from scratch. Each means that one more mirror was found to be corrupt. */
const MAX_RESTARTS = 9;

/**
 * The single-flight download of a missing blob. It belongs to no client: every client that needs the
 * blob follows the growing partial file (see `follow`), and the download goes on when they leave.
 *
 * The steps:
 * 1. Open a writer, which resumes the partial file of an earlier fill, if there is one.
 * 2. Download from the sources in turn (`FetchLoop`), resuming at the current offset when a transfer
 *    breaks. Followers may read all but the last bytes, which are withheld until verification.
 * 3. Verify size and digest, and commit: the blob is stored.
 *
 * Failures:
 * - The bytes are wrong: discard them. Restart if another source may have the right ones, or if the
 *   partial file was a resumed one; followers that have received bytes give up.
 * - The sources fail for good, or the cache shuts down: suspend the partial file for a later fill.
 * - The disk is full or fails, or the cache itself has a defect: hand over to the followers. Each continues from the resume point with
 *   a stream of its own, without storing.
 */
export class Fill {
  /** Resolves once a source's response was found usable; rejects with the fault that prevented it. */
  readonly started: Promise<void>;
  /** Resolves once the blob is stored; rejects with the fault that ended the fill. */
  readonly stored: Promise<StoredBlob>;
  /** Resolves once the fill has stored or failed, and its writer is closed. */
  readonly ended: Promise<void>;

  readonly sources: SourceList;
  readonly followers = new Followers();
  /** When the fill began, in milliseconds since the epoch. */
  readonly since = Date.now();
  readonly #fetchLoop: FetchLoop;
  readonly #abort = new AbortController();
  readonly #started = Promise.withResolvers<void>();
  readonly #stored = Promise.withResolvers<StoredBlob>();
  readonly #ended = Promise.withResolvers<void>();
  #tailBuffer = new TailBuffer();
  #readCache = this.#newReadCache();
  #progress = Promise.withResolvers<void>();
  #writer: BlobWriter | undefined;
  #result: StoredBlob | undefined;
  #fault: Fault | undefined;
  #resumePoint: ResumePoint | undefined;
  /** Bytes that can be read from the file. Finite only after a failed write; the rest is buffered. */
  #writtenBytes = Infinity;
  #attempt = 0;
  /** The value of `available` when the followers were last woken. */
  #announcedBytes = 0;
  #wakeTimer: ReturnType<typeof setTimeout> | undefined;
  #resumedBytes = 0;

  /**
   * @param size of the blob in bytes, if a manifest names it
   * @param pendingPut a write of the same blob from memory, which has to settle first
   */
  constructor(
    readonly digest: Digest,
    store: BlobStore,
    source: Source,
    size?: number,
    pendingPut?: Promise<unknown>,
    backOff: BackOffOptions = {},
  ) {
    this.sources = new SourceList(source);
    this.#fetchLoop = new FetchLoop({
      digest,
      sources: this.sources,
      size,
      backOff: new BackOff(backOff),
      signal: this.#abort.signal,
      onStarted: () => this.#started.resolve(),
      onChunk: (start, chunk) => this.#tailBuffer.add(start, chunk),
      onProgress: () => this.#onProgress(),
    });
    this.started = this.#started.promise;
    this.stored = this.#stored.promise;
    this.ended = this.#ended.promise;
    // A fill outlives its clients, so its failure may have no handler.
    this.started.catch(() => {});
    this.stored.catch(() => {});
    void this.#run(store, pendingPut);
  }

  /** In bytes; unknown until a manifest or a source announces it. */
  get size(): number | undefined {
    return this.#result?.size ?? this.#fetchLoop.size;
  }

  /** Bytes, from the first one on, that followers may read now. */
  get available(): number {
    if (this.#result) return this.#result.size;
    if (this.#resumePoint) return this.#resumePoint.length;
    const length = this.#writer?.length ?? 0;
    return Math.max(0, Math.min(length, (this.size ?? length) - WITHHELD_TAIL));
  }

  /** Bytes that were received so far, including those that an earlier fill received. */
  get received(): number {
    return this.#result?.size ?? this.#writer?.length ?? 0;
  }

  /** The part of `received` that was resumed from the partial file of an earlier fill. */
  get resumedBytes(): number {
    return this.#resumedBytes;
  }

  get isStored(): boolean {
    return this.#result !== undefined;
  }

  /** Whether the blob is stored, or the fill has failed. */
  get isSettled(): boolean {
    return this.#result !== undefined || this.#fault !== undefined;
  }

  get fault(): Fault | undefined {
    return this.#fault;
  }

  /**
   * How often the download was restarted because its bytes were wrong. Bytes that were sent before a
   * restart cannot be continued with bytes from after it.
   */
  get attempt(): number {
    return this.#attempt;
  }

  /** Set once storing has failed: where followers continue without the store. */
  get resumePoint(): ResumePoint | undefined {
    return this.#resumePoint;
  }

  /** Offset of the tail that is withheld until the blob was verified. */
  get withheldFrom(): number {
    return Math.max(0, (this.size ?? 0) - WITHHELD_TAIL);
  }

  /** Resolves when more bytes are available, or the state of the fill has changed. */
  progress(): Promise<void> {
    return this.#progress.promise;
  }

  /** Available bytes from `position` on: at least one, at most a chunk or a block of 256 KiB. */
  async read(position: number): Promise<Uint8Array> {
    const { available } = this;
    const buffered = this.#tailBuffer.read(position, available);
    return buffered ?? this.#readCache.read(position, Math.min(available, this.#writtenBytes));
  }

  /** Cancels the download and keeps its partial file, for a fill that resumes it. */
  async suspend(): Promise<void> {
    this.#abort.abort(new Fault({ kind: "cancelled", reason: "the cache is shutting down" }));
    await this.stored.catch(() => {});
  }

  async #readFile(first: number, end: number): Promise<Uint8Array> {
    if (this.#result) return this.#result.bytes.slice(first, end).bytes();
    if (!this.#writer) throw new RangeError("nothing is available yet");
    return this.#writer.read(first, end);
  }

  async #run(store: BlobStore, pendingPut: Promise<unknown> | undefined): Promise<void> {
    try {
      await pendingPut?.catch(() => {});
      this.#result = await this.#download(store);
      this.#started.resolve();
      this.#stored.resolve(this.#result);
    } catch (error) {
      this.#fault = toFault(error);
      this.#started.reject(this.#fault);
      this.#stored.reject(this.#fault);
    }
    this.#wakeFollowers();
    this.#ended.resolve();
  }

  async #download(store: BlobStore): Promise<StoredBlob> {
    // An earlier fill may have ended between the caller's look-up and now.
    const stored = await store.open(this.digest);
    if (stored) return stored;
    for (;;) {
      const result = await this.#attemptDownload(store);
      if (result) return result;
      this.#attempt += 1;
      this.#fetchLoop.restart();
      this.#tailBuffer = new TailBuffer();
      this.#readCache = this.#newReadCache();
      this.#wakeFollowers();
    }
  }

  /** Returns `undefined` if the bytes were wrong, and a download from scratch may succeed. */
  async #attemptDownload(store: BlobStore): Promise<StoredBlob | undefined> {
    let writer = await this.#openWriter(store);
    const { size } = this;
    if (size !== undefined && writer.length >= size && !writer.verify()) {
      await writer.discard();
      writer = await store.writer(this.digest);
    }
    this.#writer = writer;
    this.#resumedBytes = writer.length;
    try {
      if (size !== undefined) await writer.reserve(size);
      if (size === undefined || writer.length < size) await this.#fetchLoop.run(writer);
      if (!writer.verify()) throw this.#fetchLoop.wrongDigest();
      return await writer.commit();
    } catch (error) {
      const fault = toFault(error);
      // The wrong bytes may also be those of the partial file that an earlier fill left.
      const canRetry = this.#fetchLoop.canRetryElsewhere || this.#resumedBytes > 0;
      const isInvalid = fault.detail.kind === "upstream-invalid-response";
      if (isInvalid && canRetry && this.#attempt < MAX_RESTARTS) {
        await writer.discard();
        return undefined;
      }
      // Set before the writer is closed: a follower whose read then fails has to find this fault.
      this.#fault = fault;
      if (isLocalFault(fault) && fault.detail.kind !== "cancelled" && !this.#abort.signal.aborted) {
        await this.#handOver(writer);
      }
      const isUseless = this.#resumePoint !== undefined || writer.length === 0 || isInvalid;
      // An error of closing must not hide why the fill failed.
      await (isUseless ? writer.discard() : writer.suspend()).catch(() => {});
      throw this.#fault;
    }
  }

  async #openWriter(store: BlobStore): Promise<BlobWriter> {
    try {
      return await store.writer(this.digest);
    } catch (error) {
      this.#resumePoint = { length: 0, hasher: newHasher(this.digest) };
      throw error;
    }
  }

  /** Waits until the followers have read what can be read; then the file may be deleted. */
  async #handOver(writer: BlobWriter): Promise<void> {
    this.#resumePoint = this.#createResumePoint(writer);
    this.#started.reject(this.#fault);
    this.#stored.reject(this.#fault);
    this.#wakeFollowers();
    await this.followers.idle();
  }

  /** After the written and the buffered bytes, since a follower may have received any of them. */
  #createResumePoint(writer: BlobWriter): ResumePoint {
    const { hasher, ...written } = writer.prefix();
    let { length } = written;
    this.#writtenBytes = length;
    while (length < writer.length) {
      const chunk = this.#tailBuffer.read(length, writer.length);
      if (!chunk) break;
      hasher.update(chunk);
      length += chunk.byteLength;
    }
    return { length, hasher };
  }

  /** Wakes followers for several chunks at once: waking many of them costs more than sending a chunk. */
  #onProgress(): void {
    const { available } = this;
    const isDue = this.#announcedBytes === 0 || available - this.#announcedBytes >= WAKE_BYTES;
    if (isDue) this.#wakeFollowers();
    else this.#wakeTimer ??= setTimeout(() => this.#wakeFollowers(), WAKE_DELAY_MS);
  }

  #wakeFollowers(): void {
    clearTimeout(this.#wakeTimer);
    this.#wakeTimer = undefined;
    this.#announcedBytes = this.available;
    const { resolve } = this.#progress;
    this.#progress = Promise.withResolvers<void>();
    resolve();
  }

  #newReadCache(): ReadCache {
    return new ReadCache((first, end) => this.#readFile(first, end));
  }
}
