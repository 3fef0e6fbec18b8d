import { type Digest, digestHex, newHasher } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import { BackOff, sleep } from "./back-off.ts";
import { type ResumePoint, WITHHELD_TAIL } from "./resume-point.ts";
import { endedEarly, isTransient, toFault } from "./transient.ts";
import type { ChunkReader, Source, Transfer } from "./source.ts";

export interface VerifyingStreamOptions {
  readonly digest: Digest;
  readonly sources: readonly Source[];
  /** Of the whole content, in bytes, where it is known. */
  readonly size?: number;
  /** The first byte that is wanted. */
  readonly first: number;
  /** The byte after the last one; absent for all. */
  readonly end?: number;
  /** A beginning of the content that somebody had already, and its hash. */
  readonly from?: ResumePoint;
}

/** Bytes that are fetched only to be hashed; a range that begins later is passed on as it comes. */
const HASHED_FOR_NOTHING = 16 * 1024 * 1024;

/**
 * A content on its way from its source to one client, for where it cannot be stored. It is hashed on
 * the way, and its last piece is held back until the digest is right; a range that leaves out the
 * beginning cannot be checked, and is checked by the client as it puts the pieces together.
 */
export class VerifyingStream {
  readonly #relayed: VerifyingStreamOptions;
  readonly #hasher: Bun.CryptoHasher | undefined;
  readonly #abort = new AbortController();
  readonly #backOff = new BackOff({});
  #reader: ChunkReader | undefined;
  #size: number | undefined;
  /** Where the next byte of the source belongs. */
  #position: number;
  /** Bytes that a source sends again, having begun before where it was asked to. */
  #surplus = 0;
  #isOver = false;
  /** What may not be given out yet: at most the piece that is held back and a chunk. */
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #ready: Uint8Array[] = [];
  /** Those whose bytes were hashed. */
  readonly #blames = new Set<Transfer["reportCorrupt"]>();
  #hasOthers = false;

  constructor(relayed: VerifyingStreamOptions) {
    this.#relayed = relayed;
    const { digest, first, from } = relayed;
    this.#size = relayed.size;
    const known = from?.length ?? 0;
    const isChecked = first <= known + HASHED_FOR_NOTHING;
    this.#position = isChecked ? known : first;
    if (isChecked) this.#hasher = from ? from.hasher.copy() : newHasher(digest);
  }

  /** In bytes; unknown until the source has told it. */
  get size(): number | undefined {
    return this.#size;
  }

  /** Whether what came was wrong, and would come from somebody else now. */
  get hasOthers(): boolean {
    return this.#hasOthers;
  }

  /**
   * Asks the source, so that its answer is known to be usable before any is given.
   *
   * @throws Fault
   */
  async start(): Promise<void> {
    let fault: Fault | undefined;
    for (const source of this.#relayed.sources) {
      try {
        return await this.#open(source);
      } catch (error) {
        fault ??= toFault(error);
      }
    }
    throw fault ?? new Fault({ kind: "internal", reason: "no source is left" });
  }

  /**
   * The next bytes; `undefined` after the last one.
   *
   * @throws Fault where the source fails for good, or what it sent is something else
   */
  async read(): Promise<Uint8Array | undefined> {
    for (;;) {
      const ready = this.#ready.shift();
      if (ready) return ready;
      if (this.#isOver) return undefined;
      const chunk = await this.#next();
      if (chunk) this.#take(chunk);
      else this.#finish();
    }
  }

  cancel(): void {
    this.#isOver = true;
    this.#abort.abort(new Fault({ kind: "cancelled", reason: "the client is gone" }));
    this.#reader?.cancel().catch(() => {});
  }

  async #open(source: Source): Promise<void> {
    const transfer = await source.open(this.#position, this.#abort.signal);
    this.#reader = transfer.body.getReader();
    this.#blames.add(transfer.reportCorrupt);
    if (transfer.size !== undefined && this.#size !== undefined && transfer.size !== this.#size) {
      throw this.#wrong(`it has ${transfer.size} bytes as a content of ${this.#size}`);
    }
    if (transfer.start > this.#position) throw this.#wrong("it left out the beginning");
    this.#size ??= transfer.size;
    this.#surplus = this.#position - transfer.start;
  }

  /** What comes next from whichever source; `undefined` at the content's end. */
  async #next(): Promise<Uint8Array | undefined> {
    for (let turn = 0; ;) {
      const { sources, end } = this.#relayed;
      if (!this.#hasher && end !== undefined && this.#position >= end) return undefined;
      try {
        if (!this.#reader) {
          const source = sources[turn % sources.length];
          if (!source) throw this.#untrue("no source is left");
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
        throw endedEarly(sources[0]?.name ?? "", this.#position, this.#size);
      } catch (error) {
        const fault = toFault(error);
        turn += 1;
        this.#reader?.cancel().catch(() => {});
        this.#reader = undefined;
        const pause = isTransient(fault) ? this.#backOff.pause(fault) : undefined;
        if (this.#isOver || pause === undefined) throw fault;
        await sleep(pause, this.#abort.signal);
      }
    }
  }

  #take(chunk: Uint8Array): void {
    const { first, end = Infinity } = this.#relayed;
    const start = this.#position;
    if (this.#size !== undefined && start + chunk.byteLength > this.#size) {
      throw this.#wrong(`it sent more than the ${this.#size} bytes of ${this.#relayed.digest}`);
    }
    this.#backOff.progressed();
    this.#hasher?.update(chunk);
    this.#position += chunk.byteLength;
    const wanted = chunk.subarray(
      Math.min(chunk.byteLength, Math.max(0, first - start)),
      Math.max(0, Math.min(chunk.byteLength, end - start)),
    );
    if (wanted.byteLength > 0) {
      // The chunk's memory may be its sender's again after the next read.
      this.#waiting.push(wanted.slice());
      this.#waitingBytes += wanted.byteLength;
    }
    // A range that ends before the piece that is held back needs no more than its own bytes.
    const isPart = this.#size !== undefined && end <= this.#size - WITHHELD_TAIL;
    if (isPart && this.#position >= end) this.#isOver = true;
    const held = this.#hasher && !isPart ? WITHHELD_TAIL : 0;
    while (this.#waiting[0] && this.#waitingBytes - this.#waiting[0].byteLength >= held) {
      this.#release();
    }
    if (this.#isOver) this.#reader?.cancel().catch(() => {});
  }

  #finish(): void {
    this.#isOver = true;
    if (this.#hasher && this.#hasher.digest("hex") !== digestHex(this.#relayed.digest)) {
      throw this.#wrong(`what it sent as ${this.#relayed.digest} has another digest`);
    }
    while (this.#waiting.length > 0) this.#release();
  }

  #release(): void {
    const piece = this.#waiting.shift();
    if (!piece) return;
    this.#waitingBytes -= piece.byteLength;
    this.#ready.push(piece);
  }

  /** Nobody knows whose bytes are wrong of those that came together. */
  #wrong(reason: string): Fault {
    const fault = this.#untrue(reason);
    this.#hasOthers = [...this.#blames].map((blame) => blame(fault)).includes(true);
    return fault;
  }

  #untrue(reason: string): Fault {
    const upstream = this.#relayed.sources[0]?.name ?? "the upstream";
    return new Fault({ kind: "upstream-invalid-response", upstream, reason });
  }
}
