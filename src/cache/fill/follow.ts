import { Fault } from "../../oci/fault.ts";
import type { BodyEvents } from "../results.ts";
import type { Fill } from "./fill.ts";
import type { ResumePoint } from "./resume-point.ts";
import { toFault } from "./transient.ts";
import { VerifyingStream } from "./verifying-stream.ts";
import type { ChunkReader, Transfer } from "./source.ts";

export interface FollowOptions extends BodyEvents {
  /** The first byte that is wanted. */
  readonly first: number;
  /** The byte after the last one; absent where the content's size is not known yet. */
  readonly end?: number;
  /**
   * Opens a ranged transfer from a byte on, for a reader that is far ahead of the fill; where it ends
   * before the fill has come by, the next one is opened. Called only once somebody reads: of an
   * answer that nobody takes, its connection would stay behind.
   */
  readonly ahead?: (from: number) => Promise<Transfer>;
}

/** The bytes of a content that is being filled, as they come. */
export function follow(fill: Fill, following: FollowOptions): ReadableStream<Uint8Array> {
  const { first, end, giveUp } = following;
  let position = first;
  let cancelled = false;
  let { attempt } = fill;
  const { size } = fill;
  const ahead = following.ahead && new Ahead(following.ahead, first);

  let isReading = true;
  let isUnreadable = false;
  let relay: VerifyingStream | undefined;
  fill.followers.enter();

  async function next(): Promise<Uint8Array | undefined> {
    for (;;) {
      if (cancelled || position === end) return undefined;
      if (fill.attempt !== attempt) {
        // What was given out may be wrong: only who has nothing of it yet can go on here.
        if (position > first || fill.size !== size) return stalled(begunAnew(fill));
        ({ attempt } = fill);
      }
      if (fill.resumePoint && (isUnreadable || position >= fill.resumePoint.length))
        return relayed(fill.resumePoint);
      if (fill.fault && !fill.resumePoint) return stalled(fill.fault);
      if (fill.available > position) {
        ahead?.cancel();
        const piece = await fill.read(position).catch(unreadable);
        if (piece && fill.attempt === attempt)
          return piece.subarray(0, (end ?? Infinity) - position);
        continue;
      }
      if (fill.isStored) return undefined;
      // The end of a content comes from the verified fill, whoever brought the bytes before.
      const piece = await ahead?.read(Math.min(end ?? Infinity, fill.verifiedFrom));
      if (piece) return piece;
      if (fill.available <= position && !fill.isStored && !fill.fault) await fill.progress();
    }
  }

  /** Storing has failed, and the client gets the rest all the same. */
  async function relayed(from: ResumePoint): Promise<Uint8Array | undefined> {
    ahead?.cancel();
    relay ??= new VerifyingStream({
      digest: fill.digest,
      sources: fill.sources.sources,
      first: position,
      ...(position >= from.length ? { from } : {}),
      ...(end === undefined ? {} : { end }),
      ...(fill.size === undefined ? {} : { size: fill.size }),
    });
    leave();
    try {
      return await relay.read();
    } catch (error) {
      return cancelled ? undefined : stalled(toFault(error));
    }
  }

  function stalled(fault: Fault): Promise<never> {
    leave();
    giveUp(fault);
    return new Promise(() => {});
  }

  function leave(): void {
    if (isReading) fill.followers.leave();
    isReading = false;
  }

  /** A write that failed may show to readers first: the fill then notices, and says how to go on. */
  async function unreadable(error: unknown): Promise<undefined> {
    if (fill.resumePoint) isUnreadable = true;
    else if (fill.isStored) await stalled(toFault(error));
    else if (!fill.fault) await fill.progress();
  }

  function finish(): void {
    if (cancelled) return;
    cancelled = true;
    ahead?.cancel();
    relay?.cancel();
    leave();
    following.ended?.(position - first);
  }

  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const piece = await next();
        if (cancelled) return;
        if (!piece) {
          finish();
          controller.close();
          return;
        }
        position += piece.byteLength;
        controller.enqueue(piece);
      },
      cancel: finish,
    },
    { highWaterMark: 0 },
  );
}

function begunAnew({ digest, sources }: Fill): Fault {
  const upstream = sources.sources[0]?.name ?? "the upstream";
  const reason = `what a mirror sent as ${digest} was wrong; it is being fetched from elsewhere`;
  return new Fault({ kind: "upstream-invalid-response", upstream, reason });
}

/** Bytes ahead of a fill; it ends in silence, since the fill will come by. */
class Ahead {
  readonly #open: (from: number) => Promise<Transfer>;
  #reader: Promise<ChunkReader> | undefined;
  #position: number;
  #openedAt = 0;
  #over = false;

  constructor(open: (from: number) => Promise<Transfer>, first: number) {
    this.#open = open;
    this.#position = first;
  }

  async read(limit: number): Promise<Uint8Array | undefined> {
    try {
      while (!this.#over && this.#position < limit) {
        this.#reader ??= this.#begin(this.#position);
        const { done, value } = await (await this.#reader).read();
        if (done && this.#position === this.#openedAt) break;
        if (done) this.#reader = undefined;
        const piece = value?.subarray(0, limit - this.#position);
        if (!piece || piece.byteLength === 0) continue;
        this.#position += piece.byteLength;
        return piece;
      }
    } catch {
      // The fill is the road that is left, and it reports what goes wrong there.
    }
    this.cancel();
    return undefined;
  }

  cancel(): void {
    if (this.#over) return;
    this.#over = true;
    // Where it is still being opened, it is cancelled as soon as it is.
    this.#reader?.then((reader) => reader.cancel()).catch(() => {});
  }

  async #begin(first: number): Promise<ChunkReader> {
    this.#openedAt = first;
    const { start, body } = await this.#open(first);
    if (start === first) return body.getReader();
    await body.cancel();
    throw new RangeError(`bytes from ${start} on came, not from ${first}`);
  }
}
