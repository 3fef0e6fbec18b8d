import type { Digest } from "../../oci/digest.ts";
import { type Fault, isLocalFault } from "../../oci/fault.ts";
import type { BlobWriter } from "../../store/blob-store.ts";
import { type BackOff, waitBeforeRetry } from "./back-off.ts";
import { Blame } from "./blame.ts";
import type { ChunkReader, Source, Transfer } from "./source.ts";
import type { Readers } from "./readers.ts";
import type { SourceList } from "./source-list.ts";
import { DiskPace } from "./disk-pace.ts";
import { Division, type FillDivision } from "./division.ts";
import { Relief } from "./segments/relief.ts";
import type { Segments } from "./segments/segments.ts";
import { withTimeout } from "../with-timeout.ts";
import { surplusOf } from "./surplus.ts";
import { endedEarly, isTooSlow, isTransient, toFault } from "./transient.ts";

export interface FetchLoopOptions extends Partial<FillDivision> {
  readonly digest: Digest;
  readonly sources: SourceList;
  /** Size of the blob in bytes, if a manifest names it. */
  readonly size?: number | undefined;
  readonly backOff: BackOff;
  /** Who reads it meanwhile. */
  readonly readers?: Readers;
  readonly signal: AbortSignal;
  /** Called when a source's response was found usable. */
  readonly onStarted: () => void;
  /** Called with each chunk before it is written, and its offset in the blob. The chunk is only lent. */
  readonly onChunk: (start: number, chunk: Uint8Array) => void;
  /** Called after bytes were written, also ahead, and when the disk turns out to be slow. */
  readonly onProgress: () => void;
}

/** How often what the fill waits for is looked at, in milliseconds. */
const LOOK_MS = 1000;

/**
 * Downloads a blob into a partial file. It tries its sources in turn, and retries with back-off: when
 * a transfer breaks, the next one resumes at the end of the partial file.
 */
export class FetchLoop {
  /** Whom its bytes are reported to if they are wrong. */
  readonly blame: Blame;
  readonly #options: FetchLoopOptions;
  readonly #pace: DiskPace;
  #size: number | undefined;
  /** Whether any source's response was usable. */
  #hasStarted = false;
  readonly #division: Division;
  #grew = Promise.withResolvers<void>();
  readonly #relief: Relief;
  /** Of the current transfer. */
  #nextHost: Transfer["nextHost"];
  /** Who is asked at the moment. */
  #source: Source | undefined;

  constructor(options: FetchLoopOptions) {
    this.#options = options;
    this.#pace = new DiskPace({ onSlow: options.onProgress });
    this.#size = options.size;
    const { share, part, yielding, readers, signal, sources, backOff } = options;
    this.blame = new Blame(options.digest, sources);
    this.#relief = new Relief({
      now: share?.now ?? (() => performance.now()),
      isWanted: () =>
        this.#hasStarted &&
        yielding?.isAsked !== false &&
        this.#source?.isHeldBack !== true &&
        !this.#source?.near,
      hasRoom: () => this.#source?.hasRoom !== false,
    });
    sources.onOffered(() => this.#relief.endBody());
    this.#division = new Division({
      share,
      yielding,
      part,
      readers,
      isDiskSlow: () => this.isDiskSlow,
      size: () => this.#size,
      signal,
      onOpened: (transfer) => sources.opened(transfer),
      onProgress: (bytes) => {
        if (bytes > 0) backOff.progressed(bytes);
        this.#progressed();
      },
    });
  }

  /** In bytes; unknown until a manifest or a source announces it. */
  get size(): number | undefined {
    return this.#size;
  }

  /** Whether it waits for the disk, and not for a source. */
  get isDiskSlow(): boolean {
    return this.#pace.isSlow;
  }

  /** Whether a download from scratch would go another way than the one that brought wrong bytes. */
  get canRestart(): boolean {
    return this.blame.canRetryElsewhere || this.#division.isDivided;
  }

  /** The parts of the blob that other connections receive, while the download runs. */
  get segments(): Segments | undefined {
    return this.#division.segments;
  }

  /** Prepares for a download from scratch: the partial file was discarded. */
  restart(): void {
    const { size } = this.#options;
    // Each part may have been right, but not all of one blob.
    if (this.#division.isDivided && !this.blame.canRetryElsewhere) void this.#division.giveUp();
    this.#size = size;
    this.blame.restart();
  }

  /**
   * Downloads what is missing in the partial file. It does not check the digest.
   *
   * @throws Fault if no source has the blob, the back-off gives up, or the partial file has wrong
   *   bytes that no further transfer can correct
   */
  async run(writer: BlobWriter): Promise<void> {
    this.#division.begin(writer);
    this.#pace.start();
    this.#relief.start();
    try {
      await this.#run(writer);
    } finally {
      this.#pace.stop();
      await this.#relief.stop();
      for (const source of this.#options.sources.sources) source.pause?.();
      await this.#division.end();
    }
  }

  async #run(writer: BlobWriter): Promise<void> {
    const { sources, signal, backOff } = this.#options;
    let firstFault: Fault | undefined;
    for (let turn = 0; ; turn += 1) {
      const source = sources.next(turn, this.#hasStarted);
      if (!source) throw firstFault ?? this.blame.invalidResponse("no source is left");
      const lengthBefore = writer.length;
      try {
        if (await this.#transfer(source, writer)) return;
        source.pause?.();
        await this.#relief.drop();
        await this.#division.renew(writer);
      } catch (error) {
        const fault = toFault(error);
        source.pause?.();
        await this.#relief.drop();
        if (signal.aborted || isLocalFault(fault)) throw fault;
        if (source.near) {
          sources.remove(source);
          continue;
        }
        // The partial file may be complete already if the size is unknown: the digest will decide.
        if (fault.detail.kind === "invalid-range" && writer.length > 0) return;
        if (fault.detail.kind === "upstream-invalid-response") {
          this.blame.report(fault);
          // Wrong bytes in the partial file cannot be corrected by another transfer.
          if (this.blame.canRetryElsewhere || writer.length > lengthBefore) throw fault;
        }
        if (!isTransient(fault) || (isTooSlow(fault) && !this.#moveOn())) sources.remove(source);
        firstFault ??= fault;
        if (!this.#hasStarted) continue;
        if (sources.sources.length === 0) throw fault;
        await waitBeforeRetry(backOff, fault, signal);
      }
    }
  }

  /** @returns whether all is there; if not, another source is offered in place of this one */
  async #transfer(source: Source, writer: BlobWriter): Promise<boolean> {
    const { sources } = this.#options;
    for (;;) {
      // What other transfers have written ahead.
      while (await this.#division.absorb(writer)) this.#progressed();
      if (this.#size !== undefined && writer.length >= this.#size) return true;
      if (sources.isOffered) return false;
      // Written since.
      if (this.#division.isNextAhead(writer)) continue;
      const { yielding } = this.#options;
      if (yielding?.isPaused) await yielding.resumed(source, this.#options);
      else if (this.segments?.covers(writer.length)) {
        this.#options.share?.waits(this.segments);
        this.segments.hurry(writer.length);
        await withTimeout(LOOK_MS, this.#grew.promise);
      } else {
        const turn = this.segments?.takeTurn();
        await (turn ?? this.#receive(source, writer));
        if (!turn && this.#size === undefined) return true;
      }
    }
  }

  /** Receives the bytes that come next, as far as nobody else has or receives them. */
  async #receive(source: Source, writer: BlobWriter): Promise<void> {
    const { sources, onStarted, yielding } = this.#options;
    const first = writer.length;
    const openedAt = performance.now();
    this.#source = source;
    const transfer = await this.#relief.opening(this.#options.signal, {
      offset: first,
      own: (signal) => this.#division.open(source, writer, signal),
      beside: (signal) => this.#division.openBeside(source, writer, signal),
    });
    const reader = this.#relief.reading(transfer.reader);
    this.#nextHost = transfer.nextHost;
    this.#options.backOff.begin(transfer.heldBack);
    sources.opened(transfer, source);
    try {
      const expected = { digest: this.#options.digest, size: this.#size, offset: writer.length };
      const surplus = surplusOf(transfer, source, expected, this.blame);
      this.#size ??= transfer.size;
      if (this.#size !== undefined) await writer.reserve(this.#size);
      sources.accepted(source, transfer.answeredAgo);
      this.#hasStarted = true;
      onStarted();
      const startedAt = performance.now();
      this.#division.accepted(transfer, source);
      const append = (body: ChunkReader): Promise<boolean> =>
        this.#append(body, { ...transfer, surplus }, source, writer);
      const isTaken = await (yielding?.unlessPaused(reader, append) ?? append(reader));
      const seconds = (performance.now() - startedAt) / 1000;
      const rate = (writer.length - first) / seconds;
      if (!source.near) this.segments?.sizes.measured((startedAt - openedAt) / 1000, rate);
      if (writer.length >= (transfer.end ?? Infinity)) await this.#division.received(transfer);
      if (isTaken || yielding?.isPaused || this.#relief.isReady || sources.isOffered) return;
      if (this.#size === undefined) return;
      if (writer.length >= this.#size) return;
    } finally {
      // An unread body would occupy its connection.
      await reader.cancel().catch(() => {});
    }
    throw endedEarly(source.name, writer.length, this.#size);
  }

  /**
   * Appends a body, as far as nobody else has the bytes, or receives them.
   *
   * @param body where it ends, if it is a part, and how many bytes at its beginning are there already
   * @returns whether it ended where others have the bytes, for what a client waits for, or for another source
   */
  async #append(
    reader: ChunkReader,
    body: { readonly end?: number; readonly surplus: number },
    source: Source,
    writer: BlobWriter,
  ): Promise<boolean> {
    const { onChunk, backOff, share, digest, sources, readers } = this.#options;
    let skipped = body.surplus;
    for (;;) {
      const { done, value } = await reader.read();
      if (done || !value) return false;
      if (!source.near) share?.received(value.byteLength);
      const chunk = value.subarray(Math.min(skipped, value.byteLength));
      skipped -= value.byteLength - chunk.byteLength;
      if (chunk.byteLength === 0) continue;
      // What goes on beyond the part that was announced is nothing of the blob.
      const end = Math.min(this.#division.endOfBody(writer), body.end ?? Infinity);
      const missing = chunk.subarray(0, end - writer.length);
      if (this.#size !== undefined && writer.length + missing.byteLength > this.#size) {
        throw this.blame.invalidResponse(
          `it sent more than the ${this.#size} bytes of ${digest}`,
          source,
        );
      }
      this.segments?.headReached(writer.length + missing.byteLength);
      onChunk(writer.length, missing);
      await this.#pace.write(missing.byteLength, () => writer.append(missing));
      backOff.progressed(missing.byteLength);
      this.#progressed();
      await readers?.keepUp(writer.length);
      if (writer.length >= end || this.segments?.isOwnWanted || sources.isOffered) return true;
    }
  }

  #progressed(): void {
    this.#options.onProgress();
    const { resolve } = this.#grew;
    this.#grew = Promise.withResolvers<void>();
    resolve();
  }

  /** Has the current source ask its next host; returns whether it has one. */
  #moveOn(): boolean {
    this.#nextHost?.();
    return this.#nextHost !== undefined;
  }
}
