import { type Digest, newHasher } from "../../oci/digest.ts";
import { Fault, isLocalFault } from "../../oci/fault.ts";
import type { UpstreamName } from "../../oci/names.ts";
import type { BlobWriter, StoredBlob } from "../../store/blob-store.ts";
import { BackOff } from "../fetch/back-off.ts";
import { FetchLoop } from "../fetch/fetch-loop.ts";
import { BytesAhead } from "./bytes-ahead.ts";
import type { FillOptions } from "./fill-options.ts";
import { Followers } from "./followers.ts";
import { Milestones } from "./milestones.ts";
import { ProgressSignal } from "./progress-signal.ts";
import { type FillStore, ReadableBytes, readStored } from "./readable-bytes.ts";
import { type ResumePoint, resumePointOf, WITHHELD_TAIL } from "./resume-point.ts";
import type { Source } from "../fetch/source.ts";
import { SourceList } from "../fetch/source-list.ts";
import { toFault } from "../fetch/transient.ts";

/** The most restarts from scratch. Each means that one more mirror was found to be corrupt. */
const MAX_RESTARTS = 9;

/**
 * The single-flight download of a missing blob from one upstream. It belongs to no client: every client of that
 * upstream follows the growing partial file (see `follow`), and the download goes on when they leave.
 *
 * The steps:
 * 1. Open a writer, which resumes the partial file of an earlier fill, if there is one.
 * 2. Download from the sources in turn (`FetchLoop`), resuming at the current offset when a transfer breaks.
 *    Followers may read all but the last bytes, which are withheld until verification.
 * 3. Verify size and digest: followers may read everything, and wait for no disk. Then the blob is stored.
 * Failures:
 * - The bytes are wrong: discard them. Restart if another source may have the right ones, or if the partial file
 *   was a resumed one; followers that have received bytes give up.
 * - A fill from another upstream stores the blob first (`adopt`): go on from that. Followers of other bytes give up.
 * - The sources fail for good, or the cache shuts down: suspend the partial file for a later fill.
 * - The disk is full or fails, or the cache has a defect: each follower goes on from the resume point by itself.
 */
export class Fill {
  readonly #milestones = new Milestones();
  readonly started = this.#milestones.started;
  readonly verified = this.#milestones.verified;
  readonly stored = this.#milestones.stored;
  readonly storedSoon = this.#milestones.storedSoon;
  readonly ended = this.#milestones.ended;
  readonly upstream: UpstreamName;
  /** What a manifest said when the fill began, in bytes. */
  readonly expectedSize: number | undefined;
  readonly followers = new Followers();
  readonly ahead: BytesAhead;
  readonly sources: SourceList;
  /** When the fill began, in milliseconds since the epoch. */
  readonly since = Date.now();
  readonly #fetchLoop: FetchLoop;
  readonly #abort = new AbortController();
  readonly #store: FillStore;
  readonly #commit: NonNullable<FillOptions["commit"]>;
  readonly #bytes: ReadableBytes;
  readonly #progress = new ProgressSignal(() => this.available);
  #writer: BlobWriter | undefined;
  /** Whether size and digest of what the writer has are right. */
  #isComplete = false;
  #result: StoredBlob | undefined;
  /** What another fill has stored. */
  #adopted: StoredBlob | undefined;
  #mismatch: Fault | undefined;
  #fault: Fault | undefined;
  #resumePoint: ResumePoint | undefined;
  #resumedBytes = 0;

  constructor(
    readonly digest: Digest,
    store: FillStore,
    source: Source,
    options: FillOptions = {},
  ) {
    const { size, backOff = {}, memory, commit, near, ...division } = options;
    this.upstream = source.upstream;
    this.expectedSize = size;
    this.#store = store;
    this.#commit = commit ?? ((writer) => writer.commit());
    this.#bytes = new ReadableBytes((...range) => this.#readFile(...range), memory);
    this.ahead = new BytesAhead({
      available: () => this.available,
      extents: () => this.#writer?.ahead ?? [],
      segments: () => this.#fetchLoop.segments,
      read: (...range) => this.#bytes.readAhead(...range),
    });
    this.sources = new SourceList(source, near);
    this.#fetchLoop = new FetchLoop({
      digest,
      sources: this.sources,
      size,
      backOff: new BackOff(backOff),
      signal: this.#abort.signal,
      ...division,
      readers: this.followers,
      onStarted: () => this.#milestones.start(),
      onChunk: (start, chunk) => this.#bytes.tail.add(start, chunk, this.#writer?.resumable),
      onProgress: () => this.#progress.grew(),
    });
    void this.#run();
  }

  /** In bytes; unknown until a manifest or a source announces it. */
  get size(): number | undefined {
    return this.isVerified ? this.received : this.#fetchLoop.size;
  }

  /** Bytes, from the first one on, that followers may read now. */
  get available(): number {
    if (this.#result) return this.#result.size;
    if (this.#resumePoint) return this.#resumePoint.length;
    const length = this.#writer?.length ?? 0;
    if (this.#isComplete) return length;
    // No more than what is being compared with the stored blob.
    if (this.#adopted) return this.#bytes.handed;
    return Math.max(0, Math.min(length, (this.size ?? length) - WITHHELD_TAIL));
  }

  /** Bytes that were received so far, by this fill or an earlier one. */
  get received(): number {
    return this.#result?.size ?? this.#writer?.written ?? 0;
  }

  /** The part of `received` that an earlier fill has left. */
  get resumedBytes(): number {
    return this.#resumedBytes;
  }

  /** Whether another fill has stored the blob. */
  get isAdopted(): boolean {
    return this.#adopted !== undefined;
  }

  /** Set if another fill has stored the blob, and what this upstream announced or sent is not it. */
  get mismatch(): Fault | undefined {
    return this.#mismatch;
  }

  get isStored(): boolean {
    return this.#result !== undefined;
  }

  /** Whether all of the blob can be read. */
  get isVerified(): boolean {
    return this.#isComplete || this.#result !== undefined;
  }

  /** Whether the blob is stored, or the fill has failed. */
  get isSettled(): boolean {
    return this.#result !== undefined || this.#fault !== undefined;
  }

  get fault(): Fault | undefined {
    return this.#fault;
  }

  /** How often it restarted because its bytes were wrong. */
  get attempt(): number {
    return this.#bytes.attempt;
  }

  /** Set once storing has failed: where followers continue without the store. */
  get resumePoint(): ResumePoint | undefined {
    return this.#resumePoint;
  }

  /** Set while the disk is slower than the source: where a follower can go on by itself. */
  get detour(): ResumePoint | undefined {
    const writer = this.#fetchLoop.isDiskSlow ? this.#writer : undefined;
    return writer && resumePointOf(writer, this.#bytes.tail);
  }

  /** Resolves when more bytes are available, or the state of the fill has changed. */
  progress(): Promise<void> {
    return this.#progress.next;
  }

  /** Available bytes from `position` on: at least one, at most a block. `into` gives memory that is free by now. */
  read(position: number, into?: () => Uint8Array): Promise<Uint8Array> {
    return this.#bytes.read(position, this.available, into);
  }

  /** The verified blob, if all of it is in memory. */
  get inMemory(): Blob | undefined {
    return this.isVerified ? this.#bytes.tail.whole(this.available) : undefined;
  }

  /** Ends the download: another fill of the digest has verified and stored the blob. */
  adopt(blob: StoredBlob): void {
    if (this.isSettled) return;
    this.#adopted = blob;
    this.#abort.abort(new Fault({ kind: "cancelled", reason: `${this.digest} is stored by now` }));
  }

  /** Cancels the download and keeps its partial file, for a fill that resumes it. */
  async suspend(): Promise<void> {
    this.#abort.abort(new Fault({ kind: "cancelled", reason: "the cache is shutting down" }));
    await this.stored.catch(() => {});
  }

  async #readFile(first: number, end: number, into?: Uint8Array): Promise<Uint8Array> {
    if (this.#result) return readStored(this.#result, first, end, this.#store);
    if (!this.#writer) throw new RangeError("nothing is available yet");
    return this.#writer.read(first, end, into);
  }

  async #run(): Promise<void> {
    try {
      this.#result = await this.#download();
      this.#milestones.store(this.#result);
    } catch (error) {
      this.#fault = toFault(error);
      this.#milestones.fail(this.#fault);
    }
    this.#progress.wake();
    this.#milestones.end();
    this.#bytes.clearTail();
  }

  async #download(): Promise<StoredBlob> {
    // An earlier fill may have ended between the caller's look-up and now.
    const stored = await this.#store.open(this.digest);
    if (stored) return stored;
    for (;;) {
      const result = await this.#attemptDownload();
      if (result) return result;
      this.#fetchLoop.restart();
      // Followers that have received any of the wrong bytes give up.
      this.#bytes.discard();
      this.#progress.wake();
    }
  }

  /** Returns `undefined` if the bytes were wrong, and a download from scratch may succeed. */
  async #attemptDownload(): Promise<StoredBlob | undefined> {
    let writer = await this.#openWriter();
    const { size } = this;
    if (size !== undefined && writer.length >= size && !writer.verify()) {
      await writer.discard();
      writer = await this.#openWriter();
    }
    this.#writer = writer;
    this.#resumedBytes = writer.written;
    try {
      if (size !== undefined) await writer.reserve(size);
      if (size === undefined || writer.length < size) await this.#fetchLoop.run(writer);
      if (!writer.verify()) throw this.#fetchLoop.blame.wrongDigest();
      this.#isComplete = true;
      this.#milestones.verify();
      this.#progress.wake();
      return await this.#commit(writer);
    } catch (error) {
      if (this.#adopted) return this.#goOnFrom(this.#adopted, writer);
      const fault = toFault(error);
      const isInvalid = fault.detail.kind === "upstream-invalid-response";
      // The wrong bytes may also be those of the partial file that an earlier fill left.
      const canRetry = this.#fetchLoop.canRestart || this.#resumedBytes > 0;
      if (isInvalid && canRetry && this.attempt < MAX_RESTARTS) {
        await writer.discard();
        return undefined;
      }
      // Set before the writer is closed: a follower whose read then fails has to find this fault.
      this.#fault = fault;
      if (isLocalFault(fault) && fault.detail.kind !== "cancelled" && !this.#abort.signal.aborted) {
        await this.#handOver(writer);
      }
      const isUseless = this.#resumePoint !== undefined || writer.written === 0 || isInvalid;
      // An error of closing must not hide why the fill failed.
      await (isUseless ? writer.discard() : writer.suspend()).catch(() => {});
      throw this.#fault;
    }
  }

  /** Ends the writer. Followers go on if the bytes that they may have received are the stored ones. */
  async #goOnFrom(blob: StoredBlob, writer: BlobWriter): Promise<StoredBlob> {
    const isSame = await this.#bytes.goOnFrom(blob, writer, this.size ?? blob.size);
    if (!isSame) this.#mismatch = this.#fetchLoop.blame.unlike(blob, this.#fetchLoop.size);
    // At once: nobody may begin with bytes of this writer any more.
    this.#result = blob;
    this.#progress.wake();
    await writer.discard().catch(() => {});
    return blob;
  }

  #openWriter(): Promise<BlobWriter> {
    return this.#store.writer(this.digest, this.upstream).catch((error: unknown) => {
      this.#resumePoint = { length: 0, hasher: newHasher(this.digest) };
      throw error;
    });
  }

  /** Waits until the followers have read what can be read; then the file may be deleted. */
  async #handOver(writer: BlobWriter): Promise<void> {
    this.#bytes.limitFile(writer.resumable);
    this.#resumePoint = resumePointOf(writer, this.#bytes.tail);
    if (this.#fault) this.#milestones.fail(this.#fault);
    this.#progress.wake();
    await this.followers.idle();
  }
}
