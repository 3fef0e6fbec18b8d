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

/** Followers are woken when so many bytes are new to them, or so many milliseconds after the first ones. */
const TOLD_BYTES = 256 * 1024;
const TOLD_MS = 5;

/** Each time some mirror is known to be wrong that was not before. */
const MOST_ATTEMPTS = 9;

/**
 * The one download of a content that is missing here. It belongs to no client: whoever needs the
 * content follows the growing draft, and none of them going away ends it.
 *
 * It takes from its sources in turn, goes on at its offset when one breaks, and stores the content
 * only when size and digest are right.
 */
export class Fill {
  /** Resolves once a source's answer was found usable; rejects with the Fault that prevented it. */
  readonly started: Promise<void>;
  /** Resolves once the content is stored; rejects with the Fault that ended the fill. */
  readonly stored: Promise<StoredBlob>;
  /** Resolves once nothing of it is open any more. */
  readonly ended: Promise<void>;

  readonly sources: SourceList;
  readonly followers = new Followers();
  /** In milliseconds of the epoch. */
  readonly since = Date.now();
  readonly #download: FetchLoop;
  readonly #abort = new AbortController();
  readonly #started = Promise.withResolvers<void>();
  readonly #stored = Promise.withResolvers<StoredBlob>();
  readonly #ended = Promise.withResolvers<void>();
  #newest = new TailBuffer();
  #pieces = this.#newPieces();
  #progress = Promise.withResolvers<void>();
  #writer: BlobWriter | undefined;
  #result: StoredBlob | undefined;
  #fault: Fault | undefined;
  #resumePoint: ResumePoint | undefined;
  /** Up to where the draft's file can be read: what a failed write has lost is among the newest. */
  #written = Infinity;
  #attempt = 0;
  /** What was available when followers were woken last. */
  #told = 0;
  #soon: ReturnType<typeof setTimeout> | undefined;
  #kept = 0;

  /**
   * @param size of the content in bytes, where a manifest has told it
   * @param after what may be storing the content already, in another way
   */
  constructor(
    readonly digest: Digest,
    store: BlobStore,
    source: Source,
    size?: number,
    after?: Promise<unknown>,
    backOff: BackOffOptions = {},
  ) {
    this.sources = new SourceList(source);
    this.#download = new FetchLoop({
      digest,
      sources: this.sources,
      size,
      backOff: new BackOff(backOff),
      signal: this.#abort.signal,
      begun: () => this.#started.resolve(),
      coming: (start, chunk) => this.#newest.add(start, chunk),
      progressed: () => this.#progressed(),
    });
    this.started = this.#started.promise;
    this.stored = this.#stored.promise;
    this.ended = this.#ended.promise;
    // A fill outlives its clients, so nobody may be listening when it fails.
    this.started.catch(() => {});
    this.stored.catch(() => {});
    void this.#run(store, after);
  }

  /** In bytes; unknown until a manifest or a source has told it. */
  get size(): number | undefined {
    return this.#result?.size ?? this.#download.size;
  }

  /** Bytes, from the first one on, that a follower may have now. */
  get available(): number {
    if (this.#result) return this.#result.size;
    if (this.#resumePoint) return this.#resumePoint.length;
    const length = this.#writer?.length ?? 0;
    return Math.max(0, Math.min(length, (this.size ?? length) - WITHHELD_TAIL));
  }

  /** Bytes that came so far, those that an earlier process kept included. */
  get received(): number {
    return this.#result?.size ?? this.#writer?.length ?? 0;
  }

  /** Of those, what an earlier process kept. */
  get resumedBytes(): number {
    return this.#kept;
  }

  get isStored(): boolean {
    return this.#result !== undefined;
  }

  get isOver(): boolean {
    return this.#result !== undefined || this.#fault !== undefined;
  }

  get fault(): Fault | undefined {
    return this.#fault;
  }

  /**
   * How often it began anew, because what had come was wrong: of what was given out before, nothing
   * can be made whole.
   */
  get attempt(): number {
    return this.#attempt;
  }

  /** Set once storing has failed: what is needed to go on without it. */
  get resumePoint(): ResumePoint | undefined {
    return this.#resumePoint;
  }

  /** Where the content's end begins that is only had from a verified content. */
  get verifiedFrom(): number {
    return Math.max(0, (this.size ?? 0) - WITHHELD_TAIL);
  }

  /** Resolves when more is available, or the fill has ended. */
  progress(): Promise<void> {
    return this.#progress.promise;
  }

  /** The available bytes from `position` on: at least one, and at most a chunk or a piece of 256 KiB. */
  async read(position: number): Promise<Uint8Array> {
    const { available } = this;
    const newest = this.#newest.from(position, available);
    return newest ?? this.#pieces.from(position, Math.min(available, this.#written));
  }

  /** Ends the download but keeps its bytes, for a fill that goes on from there. */
  async stop(): Promise<void> {
    this.#abort.abort(new Fault({ kind: "cancelled", reason: "the cache is shutting down" }));
    await this.stored.catch(() => {});
  }

  async #bytes(first: number, end: number): Promise<Uint8Array> {
    if (this.#result) return this.#result.bytes.slice(first, end).bytes();
    if (!this.#writer) throw new RangeError("nothing is available yet");
    return this.#writer.read(first, end);
  }

  async #run(store: BlobStore, after: Promise<unknown> | undefined): Promise<void> {
    try {
      await after?.catch(() => {});
      this.#result = await this.#fill(store);
      this.#started.resolve();
      this.#stored.resolve(this.#result);
    } catch (error) {
      this.#fault = toFault(error);
      this.#started.reject(this.#fault);
      this.#stored.reject(this.#fault);
    }
    this.#announce();
    this.#ended.resolve();
  }

  async #fill(store: BlobStore): Promise<StoredBlob> {
    // Whoever asked for it may have looked just before an earlier fill ended.
    const stored = await store.open(this.digest);
    if (stored) return stored;
    for (;;) {
      const result = await this.#try(store);
      if (result) return result;
      this.#attempt += 1;
      this.#download.restart();
      this.#newest = new TailBuffer();
      this.#pieces = this.#newPieces();
      this.#announce();
    }
  }

  /** `undefined` where what came was wrong, and there is somebody else to take it from. */
  async #try(store: BlobStore): Promise<StoredBlob | undefined> {
    let writer = await this.#begun(store);
    const { size } = this;
    if (size !== undefined && writer.length >= size && !writer.verify()) {
      await writer.discard();
      writer = await store.writer(this.digest);
    }
    this.#writer = writer;
    this.#kept = writer.length;
    try {
      if (size !== undefined) await writer.reserve(size);
      if (size === undefined || writer.length < size) await this.#download.run(writer);
      if (!writer.verify()) throw this.#download.wrongDigest();
      return await writer.commit();
    } catch (error) {
      const fault = toFault(error);
      // Or an earlier process kept a beginning that may be what is wrong.
      const isAnother = this.#download.hasOthers || this.#kept > 0;
      const isUntrue = fault.detail.kind === "upstream-invalid-response";
      if (isUntrue && isAnother && this.#attempt < MOST_ATTEMPTS) {
        await writer.discard();
        return undefined;
      }
      // Told before the draft is closed, so that no follower takes its closing for the failure.
      this.#fault = fault;
      if (isLocalFault(fault) && fault.detail.kind !== "cancelled" && !this.#abort.signal.aborted) {
        await this.#handOver(writer);
      }
      const isUseless = this.#resumePoint !== undefined || writer.length === 0 || isUntrue;
      // Whatever becomes of the file, why the fill failed is what has to be known.
      await (isUseless ? writer.discard() : writer.suspend()).catch(() => {});
      throw this.#fault;
    }
  }

  async #begun(store: BlobStore): Promise<BlobWriter> {
    try {
      return await store.writer(this.digest);
    } catch (error) {
      this.#resumePoint = { length: 0, hasher: newHasher(this.digest) };
      throw error;
    }
  }

  /** Lets those who read finish what can be read; then the disk may have its space back. */
  async #handOver(writer: BlobWriter): Promise<void> {
    this.#resumePoint = this.#readable(writer);
    this.#started.reject(this.#fault);
    this.#stored.reject(this.#fault);
    this.#announce();
    await this.followers.left();
  }

  /** What was written, and what came after it: somebody may have had that already. */
  #readable(writer: BlobWriter): ResumePoint {
    const { hasher, ...written } = writer.prefix();
    let { length } = written;
    this.#written = length;
    while (length < writer.length) {
      const chunk = this.#newest.from(length, writer.length);
      if (!chunk) break;
      hasher.update(chunk);
      length += chunk.byteLength;
    }
    return { length, hasher };
  }

  /** Who follows is woken for some chunks at a time: waking many for each costs more than sending it. */
  #progressed(): void {
    const { available } = this;
    if (this.#told === 0 || available - this.#told >= TOLD_BYTES) this.#announce();
    else this.#soon ??= setTimeout(() => this.#announce(), TOLD_MS);
  }

  #announce(): void {
    clearTimeout(this.#soon);
    this.#soon = undefined;
    this.#told = this.available;
    const { resolve } = this.#progress;
    this.#progress = Promise.withResolvers<void>();
    resolve();
  }

  #newPieces(): ReadCache {
    return new ReadCache((first, end) => this.#bytes(first, end));
  }
}
