import { Fault } from "../../oci/fault.ts";
import { freeBytes } from "../../process/free-bytes.ts";
import type { BodyEvents } from "../results.ts";
import type { Fill } from "./fill.ts";
import { type ResumePoint, withheldFrom } from "./resume-point.ts";
import type { Detours } from "./detours.ts";
import type { Lead } from "./followers.ts";
import { toFault } from "../fetch/transient.ts";
import { withTimeout } from "../with-timeout.ts";
import { TAIL_BLOCK_BYTES } from "./tail-buffer.ts";
import { VerifyingStream } from "./verifying-stream.ts";
import { AheadReader } from "../fetch/ahead-reader.ts";
import type { Transfer } from "../fetch/source.ts";

export interface FollowOptions extends BodyEvents {
  /** With which the response was begun: bytes of another one do not continue it. By default, the current one. */
  readonly attempt?: number;
  /** Of the blob in bytes, if the response announces it. */
  readonly size?: number | undefined;
  /** Offset of the first byte to read. */
  readonly first: number;
  /** Offset after the last byte to read; absent for the end of the blob, whose size may be unknown. */
  readonly end?: number;
  /**
   * Opens a ranged transfer at an offset, for a follower that is far ahead of the fill. If it ends
   * before the fill has caught up, the next one is opened. Called only once the body is read: a
   * body that nobody reads would leave a connection open.
   */
  readonly openAhead?: (from: number) => Promise<Transfer>;
  /** Whether it gives up where the fill cannot go on, rather than go on by itself. */
  readonly endsWithFill?: boolean;
  /** How far ahead of it the fill may go, as long as it reads; by default, to the end. */
  readonly lead?: Lead;
  /** Allows the only follower to leave while the disk is slower than the source. By default, it stays. */
  readonly detours?: Detours;
}

/** With less than this left, a follower stays with a fill whose disk is slow, in bytes. */
const MIN_DETOUR_BYTES = 1024 * 1024;
/** How long a follower waits for one of the connections with which the fill receives parts, in milliseconds. */
const LATER_MS = 2000;

/**
 * Streams a blob to one client while it is being filled. Backpressure: a chunk is read only when
 * the client asks for one.
 *
 * The bytes come from, in this order of preference:
 * 1. The fill, as far as it has come.
 * 2. If the follower is far ahead of the fill: a part that the fill receives next, and keeps; where it cannot, a
 *    ranged transfer of its own (`openAhead`).
 * 3. If it is the only follower, and the disk is much slower than the source (`detours`): a stream of its own from the source,
 *    which verifies the rest (`VerifyingStream`). The fill goes on storing behind.
 * 4. After storing has failed and what the fill has was read: such a stream as well.
 *
 * If none of them can continue, `giveUp` is called and the stream stalls.
 */
export function follow(fill: Fill, options: FollowOptions): ReadableStream<Uint8Array> {
  const { first, end, giveUp } = options;
  let position = first;
  let isCancelled = false;
  let { attempt = fill.attempt } = options;
  const { size } = options;
  // A part may be given out before all of the blob is verified; who reads the whole never gets its end.
  const ahead = options.openAhead && new AheadReader(options.openAhead);
  // Then all of the blob can be read, however slow this transfer is.
  fill.verified.then(() => ahead?.cancel()).catch(() => {});

  let isFollowing = true;
  let isFillUnreadable = false;
  let uncached: VerifyingStream | undefined;
  let detour: (() => void) | undefined;
  /** Used again for each chunk, which would be garbage otherwise. */
  let sent: Uint8Array | undefined;
  const reused = (): Uint8Array => (sent ??= new Uint8Array(TAIL_BLOCK_BYTES));
  const memory = options.copiesChunks ? reused : undefined;
  const follower = {
    get position() {
      return position;
    },
    lead: options.lead,
  };
  fill.followers.add(follower);

  async function next(): Promise<Uint8Array | undefined> {
    for (;;) {
      if (isCancelled || position === end) return undefined;
      if (uncached) return readAlone(uncached);
      if (fill.attempt !== attempt) {
        // The bytes from before the restart may be wrong: go on only if none of them was sent.
        if (position > first || (size !== undefined && fill.size !== size))
          return stall(restartedFault(fill));
        ({ attempt } = fill);
      }
      if (fill.isVerified && position === fill.size) return undefined;
      if (fill.resumePoint && (isFillUnreadable || position >= fill.resumePoint.length))
        return options.endsWithFill ? stall(restartedFault(fill)) : readUncached(fill.resumePoint);
      if (fill.fault && !fill.resumePoint) return stall(fill.fault);
      if (fill.available > position) {
        ahead?.cancel();
        const chunk = await fill.read(position, memory).catch(onReadError);
        if (chunk && fill.attempt === attempt)
          return chunk.subarray(0, (end ?? Infinity) - position);
        continue;
      }
      const part = ahead && (await readPart(ahead));
      if (part) return part;
      // Something has changed: more bytes, or the state of the fill.
      if (part === null) continue;
      if (await leave()) continue;
      if (fill.available <= position && !fill.isVerified && !fill.fault) await fill.progress();
    }
  }

  /** Bytes ahead of the fill: `null` after a wait for them, `undefined` if they come with the fill alone. */
  async function readPart(apart: AheadReader): Promise<Uint8Array | null | undefined> {
    const limit = end ?? fill.size ?? Infinity;
    if (apart.isReading) return apart.read(position, limit);
    const demand = fill.ahead.demand(position, limit);
    if (demand === "refused") return apart.read(position, limit);
    if (fill.ahead.endFrom(position) === position) {
      const isMore =
        (await withTimeout(
          LATER_MS,
          fill.progress().then(() => true),
        )) ?? false;
      // No connection is left for it: those of the clients that have them are busy for longer.
      if (demand === "received" || isMore) return null;
      return apart.read(position, limit);
    }
    const chunk = await fill.ahead.read(position, memory).catch(onReadError);
    if (!chunk || fill.attempt !== attempt) return null;
    return chunk.subarray(0, limit - position);
  }

  /** Continues from the source after storing has failed, so that the client gets the rest. */
  function readUncached(from: ResumePoint): Promise<Uint8Array | undefined> {
    uncached = streamFrom(from);
    return readAlone(uncached);
  }

  /** Leaves the fill, if its disk keeps the client waiting for what the source has long sent. */
  async function leave(): Promise<boolean> {
    if (detour || withheldFrom(fill.size) - position < MIN_DETOUR_BYTES) return false;
    // Many clients at once remain one request to the registry.
    if (fill.followers.count > 1) return false;
    const from = fill.attempt === attempt ? fill.detour : undefined;
    // What it has received of the fill has to be what is hashed.
    if (!from || (position !== from.length && (position !== first || position < from.length))) {
      return false;
    }
    detour = options.detours?.begin();
    if (!detour) return false;
    const stream = streamFrom(from);
    uncached = stream;
    try {
      await stream.start();
      return true;
    } catch {
      // The fill has it as well, if more slowly.
      uncached = undefined;
      stream.cancel();
      detour();
      return false;
    }
  }

  function streamFrom(from: ResumePoint): VerifyingStream {
    return new VerifyingStream({
      digest: fill.digest,
      sources: fill.sources.sources,
      first: position,
      ...(position >= from.length ? { from } : {}),
      ...(end === undefined ? {} : { end }),
      ...(fill.size === undefined ? {} : { size: fill.size }),
    });
  }

  async function readAlone(stream: VerifyingStream): Promise<Uint8Array | undefined> {
    ahead?.cancel();
    stopFollowing();
    try {
      return await stream.read();
    } catch (error) {
      return isCancelled ? undefined : stall(toFault(error));
    }
  }

  /** Never resolves: see `BodyEvents.giveUp`. */
  function stall(fault: Fault): Promise<never> {
    stopFollowing();
    giveUp(fault);
    return new Promise(() => {});
  }

  function stopFollowing(): void {
    if (isFollowing) fill.followers.remove(follower);
    isFollowing = false;
  }

  /** A follower may see a failed write before the fill does, which then sets its resume point. */
  async function onReadError(error: unknown): Promise<undefined> {
    if (fill.resumePoint) isFillUnreadable = true;
    else if (fill.isStored) await stall(toFault(error));
    else if (!fill.fault) await fill.progress();
  }

  function finish(): void {
    if (isCancelled) return;
    isCancelled = true;
    ahead?.cancel();
    uncached?.cancel();
    detour?.();
    stopFollowing();
    options.ended?.(position - first);
  }

  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const chunk = await next();
        if (isCancelled) return;
        if (!chunk) {
          finish();
          if (sent) freeBytes(sent);
          controller.close();
          return;
        }
        position += chunk.byteLength;
        fill.followers.read();
        controller.enqueue(chunk);
      },
      cancel: finish,
    },
    { highWaterMark: 0 },
  );
}

function restartedFault({ digest, sources }: Fill): Fault {
  const upstream = sources.sources[0]?.name ?? "the upstream";
  const reason = `a mirror sent wrong bytes as ${digest}; they are being fetched from elsewhere`;
  return new Fault({ kind: "upstream-invalid-response", upstream, reason });
}
