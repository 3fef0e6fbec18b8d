import type { Digest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import { type RangeRequest, resolveRange } from "../../oci/range.ts";
import type { BlobResult, BodyEvents } from "../results.ts";
import type { SingleFlight } from "../single-flight.ts";
import type { CacheStatus } from "../cache-status.ts";
import { toFault } from "../fill/transient.ts";
import { VerifyingStream } from "../fill/verifying-stream.ts";
import type { Source } from "../fill/source.ts";

/** Up to this many bytes a content is verified in memory before its first byte is sent. */
const SMALL = 4 * 1024 * 1024;

export interface UncachedBlob {
  readonly digest: Digest;
  readonly source: Source;
  /** Why it is not stored. */
  readonly cacheStatus: CacheStatus;
  /** In bytes, where it is known. */
  readonly size?: number;
}

/**
 * An answer straight from the source, for where nothing can or may be stored.
 *
 * @throws Fault where the source's answer cannot be used
 */
export async function streamUncached(
  { digest, source, cacheStatus, size }: UncachedBlob,
  request: RangeRequest | undefined,
  whole: SingleFlight<Uint8Array<ArrayBuffer>>,
): Promise<BlobResult> {
  const known = size === undefined ? {} : { size };
  if (size !== undefined && size <= SMALL) {
    const bytes = await whole.run(`${source.name}@${digest}`, () => fetched(digest, source, size));
    return stored(digest, bytes, cacheStatus);
  }
  const range = request && size !== undefined ? resolveRange(request, size) : undefined;
  if (request && !range) {
    // Without a size a range cannot be told from the whole: a client may ignore that it got more.
    if (size !== undefined) {
      throw new Fault({ kind: "invalid-range", reason: `${digest} has ${size} bytes`, size });
    }
  }
  const relay = new VerifyingStream({
    digest,
    sources: [source],
    first: range?.first ?? 0,
    ...known,
    ...(range ? { end: range.last + 1 } : {}),
  });
  await relay.start();
  if (!range && relay.size !== undefined && relay.size <= SMALL) {
    const bytes = await collect(relay, relay.size).catch((error: unknown) => {
      relay.cancel();
      if (!relay.hasOthers || relay.size === undefined) throw error;
      return fetched(digest, source, relay.size);
    });
    return stored(digest, bytes, cacheStatus);
  }
  return {
    kind: "streaming",
    digest,
    cacheStatus,
    ...(relay.size === undefined ? {} : { size: relay.size }),
    ...(range ? { range } : {}),
    body: (following) => stream(relay, following),
  };
}

function stored(
  digest: Digest,
  bytes: Uint8Array<ArrayBuffer>,
  cacheStatus: CacheStatus,
): BlobResult {
  const blob = { digest, size: bytes.byteLength, bytes: new Blob([bytes]) };
  return { kind: "stored", blob, cacheStatus };
}

/** All of it, from somebody else where a mirror sent something else. */
async function fetched(
  digest: Digest,
  source: Source,
  size: number,
): Promise<Uint8Array<ArrayBuffer>> {
  for (;;) {
    const relay = new VerifyingStream({ digest, sources: [source], first: 0, size });
    try {
      await relay.start();
      return await collect(relay, size);
    } catch (error) {
      relay.cancel();
      // Each time some mirror is known to be wrong that was not before.
      if (!relay.hasOthers) throw error;
    }
  }
}

async function collect(relay: VerifyingStream, size: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(size);
  let length = 0;
  for (;;) {
    const piece = await relay.read();
    if (!piece) return bytes;
    bytes.set(piece, length);
    length += piece.byteLength;
  }
}

function stream(relay: VerifyingStream, { giveUp, ended }: BodyEvents): ReadableStream<Uint8Array> {
  let sent = 0;
  let isOver = false;
  const finish = (): void => {
    if (isOver) return;
    isOver = true;
    relay.cancel();
    ended?.(sent);
  };
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const piece = await relay.read();
          if (isOver) return;
          if (piece) {
            sent += piece.byteLength;
            controller.enqueue(piece);
            return;
          }
          finish();
          controller.close();
        } catch (error) {
          if (isOver) return;
          // As in following a fill: a stalled connection ends cleanly, a failed one does not.
          giveUp(toFault(error));
          await new Promise(() => {});
        }
      },
      cancel: finish,
    },
    { highWaterMark: 0 },
  );
}
