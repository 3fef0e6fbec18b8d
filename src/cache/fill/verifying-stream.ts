import { type Digest, digestHex, newHasher } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import { BackOff, sleep } from "../fetch/back-off.ts";
import { type ResumePoint, WITHHELD_TAIL } from "./resume-point.ts";
import { endedEarly, isTooSlow, isTransient, toFault } from "../fetch/transient.ts";
import { openSource } from "../fetch/open-source.ts";
import type { ChunkReader, Source, Transfer } from "../fetch/source.ts";

export interface VerifyingStreamOptions {
  readonly digest: Digest;
  readonly sources: readonly Source[];
  /** Of the whole blob in bytes, if known. */
  readonly size?: number;
  /** Offset of the first byte to send. */
  readonly first: number;
  /** Offset after the last byte to send; absent for the end of the blob. */
  readonly end?: number;
  /** A beginning of the blob that need not be downloaded again, and its hash. */
  readonly from?: ResumePoint;
}

/**
 * The most bytes that are downloaded only to be hashed. A range that begins further into the blob is
 * sent without verification.
 */
const MAX_HASHED_PREFIX = 16 * 1024 * 1024;

/**
 * Streams a blob from its source to one client without storing it. The bytes are hashed on the way,
 * and the last ones (WITHHELD_TAIL) are withheld until the digest was verified. A range without the
 * beginning of the blob cannot be verified: its client does that when it has put the blob together.
 */
export class VerifyingStream {
  readonly #options: VerifyingStreamOptions;
  /** Those beside the upstream are asked once. */
  readonly #sources: Source[];
  /** Absent for a range that is not verified. */
  readonly #hasher: Bun.CryptoHasher | undefined;
  readonly #abort = new AbortController();
  readonly #backOff = new BackOff({});
  #reader: ChunkReader | undefined;
  #nextHost: Transfer["nextHost"];
  #size: number | undefined;
  /** Offset in the blob of the next new byte of the source. */
  #position: number;
  /** Bytes to skip in the current transfer, which began before `#position`. */
  #surplus = 0;
  #isOver = false;
  /** Chunks that may not be sent yet: at most WITHHELD_TAIL and a chunk. */
  #withheld: Uint8Array[] = [];
  #withheldBytes = 0;
  /** Chunks that may be sent. */
  #ready: Uint8Array[] = [];
  /** Of the transfers whose bytes were hashed. */
  readonly #corruptReporters = new Set<Transfer["reportCorrupt"]>();
  #canRetryElsewhere = false;

  constructor(options: VerifyingStreamOptions) {
    this.#options = options;
    const { digest, first, from } = options;
    this.#size = options.size;
    this.#sources = [...options.sources];
    const hashedBytes = from?.length ?? 0;
    const isVerified = first <= hashedBytes + MAX_HASHED_PREFIX;
    this.#position = isVerified ? hashedBytes : first;
    if (isVerified) this.#hasher = from ? from.hasher.copy() : newHasher(digest);
  }

  /** In bytes; unknown until the source announces it. */
  get size(): number | undefined {
    return this.#size;
  }

  /** Whether the bytes were wrong, and a new stream would use another source. */
  get canRetryElsewhere(): boolean {
    return this.#canRetryElsewhere;
  }

  /**
   * Opens the first source whose response is usable. To be called before the response to the client
   * begins, while a failure can still become an error response.
   *
   * @throws Fault
   */
  async start(): Promise<void> {
    let fault: Fault | undefined;
    for (const source of this.#options.sources) {
      try {
        return await this.#open(source);
      } catch (error) {
        if (!this.#leaves(source)) fault ??= toFault(error);
      }
    }
    throw fault ?? new Fault({ kind: "internal", reason: "no source is left" });
  }

  /**
   * The next bytes; `undefined` after the last ones.
   *
   * @throws Fault if the sources fail for good, or their bytes are wrong
   */
  async read(): Promise<Uint8Array | undefined> {
    for (;;) {
      const ready = this.#ready.shift();
      if (ready) return ready;
      if (this.#isOver) return undefined;
      const chunk = await this.#next();
      if (chunk) this.#process(chunk);
      else this.#finish();
    }
  }

  cancel(): void {
    this.#isOver = true;
    this.#abort.abort(new Fault({ kind: "cancelled", reason: "the client is gone" }));
    this.#reader?.cancel().catch(() => {});
  }

  async #open(source: Source): Promise<void> {
    const transfer = await openSource(source, this.#position, this.#abort.signal);
    this.#reader = transfer.reader;
    this.#nextHost = transfer.nextHost;
    this.#backOff.begin(transfer.heldBack);
    this.#corruptReporters.add(transfer.reportCorrupt);
    const { digest } = this.#options;
    if (transfer.size !== undefined && this.#size !== undefined && transfer.size !== this.#size) {
      throw this.#reportCorrupt(
        `it announced ${transfer.size} bytes for ${digest}, which has ${this.#size}`,
      );
    }
    if (transfer.start > this.#position) {
      throw this.#reportCorrupt(
        `it sent ${digest} from byte ${transfer.start} on instead of ${this.#position}`,
      );
    }
    this.#size ??= transfer.size;
    this.#surplus = this.#position - transfer.start;
  }

  /**
   * The next chunk of the blob; `undefined` at its end. Sources are tried in turn, with back-off.
   *
   * @throws Fault
   */
  async #next(): Promise<Uint8Array | undefined> {
    for (let turn = 0; ;) {
      const { end } = this.#options;
      const source = this.#sources[turn % this.#sources.length];
      if (!this.#hasher && end !== undefined && this.#position >= end) return undefined;
      try {
        if (!this.#reader) {
          if (!source) throw this.#invalidResponse("no source is left");
          await this.#open(source);
        }
        const chunk = await this.#reader?.read();
        if (chunk?.value && !chunk.done) {
          const skipped = Math.min(this.#surplus, chunk.value.byteLength);
          this.#surplus -= skipped;
          if (skipped < chunk.value.byteLength) return chunk.value.subarray(skipped);
          continue;
        }
        if (this.#size === undefined || this.#position >= this.#size) return undefined;
        throw endedEarly(source?.name ?? "", this.#position, this.#size);
      } catch (error) {
        const fault = toFault(error);
        this.#reader?.cancel().catch(() => {});
        this.#reader = undefined;
        if (!this.#isOver && source && this.#leaves(source)) continue;
        turn += 1;
        const isWorthwhile = isTooSlow(fault) ? this.#nextHost !== undefined : isTransient(fault);
        if (isTooSlow(fault)) this.#nextHost?.();
        const pause = isWorthwhile ? this.#backOff.pause(fault) : undefined;
        if (this.#isOver || pause === undefined) throw fault;
        await sleep(pause, this.#abort.signal);
      }
    }
  }

  /** Something went wrong with a source: whether it is one beside the upstream, and so asked no more. */
  #leaves(source: Source): boolean {
    if (!source.near) return false;
    this.#sources.splice(this.#sources.indexOf(source), 1);
    return true;
  }

  /** Hashes a chunk, withholds the part of it that the client wants, and releases what may be sent. */
  #process(chunk: Uint8Array): void {
    const { first, end = Infinity, digest } = this.#options;
    const start = this.#position;
    if (this.#size !== undefined && start + chunk.byteLength > this.#size) {
      throw this.#reportCorrupt(`it sent more than the ${this.#size} bytes of ${digest}`);
    }
    this.#backOff.progressed(chunk.byteLength);
    this.#hasher?.update(chunk);
    this.#position += chunk.byteLength;
    const wanted = chunk.subarray(
      Math.min(chunk.byteLength, Math.max(0, first - start)),
      Math.max(0, Math.min(chunk.byteLength, end - start)),
    );
    if (wanted.byteLength > 0) {
      // Copied, since the chunk's memory may be reused after the next read.
      this.#withheld.push(new Uint8Array(wanted));
      this.#withheldBytes += wanted.byteLength;
    }
    // A range that ends before the withheld tail needs no bytes after its end.
    const endsBeforeTail = this.#size !== undefined && end <= this.#size - WITHHELD_TAIL;
    if (endsBeforeTail && this.#position >= end) this.#isOver = true;
    const tail = this.#hasher && !endsBeforeTail ? WITHHELD_TAIL : 0;
    while (this.#withheld[0] && this.#withheldBytes - this.#withheld[0].byteLength >= tail) {
      this.#release();
    }
    if (this.#isOver) this.#reader?.cancel().catch(() => {});
  }

  #finish(): void {
    this.#isOver = true;
    const { digest } = this.#options;
    if (this.#hasher && this.#hasher.digest("hex") !== digestHex(digest)) {
      throw this.#reportCorrupt(`the bytes sent as ${digest} do not match the digest`);
    }
    while (this.#withheld.length > 0) this.#release();
  }

  #release(): void {
    const chunk = this.#withheld.shift();
    if (!chunk) return;
    this.#withheldBytes -= chunk.byteLength;
    this.#ready.push(chunk);
  }

  /** Reports all transfers of this stream: which of them sent the wrong bytes is not known. */
  #reportCorrupt(reason: string): Fault {
    const fault = this.#invalidResponse(reason);
    this.#canRetryElsewhere = [...this.#corruptReporters]
      .map((report) => report(fault))
      .includes(true);
    return fault;
  }

  #invalidResponse(reason: string): Fault {
    const upstream = this.#sources[0]?.name ?? "the upstream";
    return new Fault({ kind: "upstream-invalid-response", upstream, reason });
  }
}
