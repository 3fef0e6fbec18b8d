import type { Digest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import { type RangeRequest, resolveRange } from "../../oci/range.ts";
import type { BlobResult, BodyEvents } from "../results.ts";
import type { SingleFlight } from "../single-flight.ts";
import type { CacheStatus } from "../cache-status.ts";
import { toFault } from "../fetch/transient.ts";
import { VerifyingStream } from "../fill/verifying-stream.ts";
import type { Source } from "../fetch/source.ts";

/** A blob of at most this many bytes is verified in memory before its first byte is sent. */
const SMALL_BLOB_BYTES = 4 * 1024 * 1024;

export interface UncachedBlob {
  readonly digest: Digest;
  readonly source: Source;
  /** Why it is not stored. */
  readonly cacheStatus: CacheStatus;
  /** In bytes, if known. */
  readonly size?: number;
}

/**
 * Streams a blob from its source to one client without storing it: for bypassed repositories, and
 * for when the disk is full or fails.
 *
 * @param smallBlobs downloads of small blobs, shared by concurrent requests
 * @throws Fault if the source's response cannot be used
 */
export async function streamUncached(
  { digest, source, cacheStatus, size }: UncachedBlob,
  request: RangeRequest | undefined,
  smallBlobs: SingleFlight<Uint8Array<ArrayBuffer>>,
): Promise<BlobResult> {
  if (size !== undefined && size <= SMALL_BLOB_BYTES) {
    const bytes = await smallBlobs.run(
      `${source.name}@${digest}`,
      () => download(digest, source, size),
      source.askedAs,
    );
    return inMemory(digest, bytes, cacheStatus);
  }
  const range = request && size !== undefined ? resolveRange(request, size) : undefined;
  if (request && !range) {
    // If the size is unknown, the range is ignored, as RFC 9110 section 14.2 allows.
    if (size !== undefined) {
      throw new Fault({ kind: "invalid-range", reason: `${digest} has ${size} bytes`, size });
    }
  }
  const stream = new VerifyingStream({
    digest,
    sources: [source],
    first: range?.first ?? 0,
    ...(size === undefined ? {} : { size }),
    ...(range ? { end: range.last + 1 } : {}),
  });
  await stream.start();
  if (!range && stream.size !== undefined && stream.size <= SMALL_BLOB_BYTES) {
    const bytes = await readAll(stream, stream.size).catch((error: unknown) => {
      stream.cancel();
      if (!stream.canRetryElsewhere || stream.size === undefined) throw error;
      return download(digest, source, stream.size);
    });
    return inMemory(digest, bytes, cacheStatus);
  }
  return {
    kind: "streaming",
    digest,
    cacheStatus,
    ...(stream.size === undefined ? {} : { size: stream.size }),
    ...(range ? { range } : {}),
    body: (events) => toBody(stream, events),
  };
}

function inMemory(
  digest: Digest,
  bytes: Uint8Array<ArrayBuffer>,
  cacheStatus: CacheStatus,
): BlobResult {
  const blob = { digest, size: bytes.byteLength, bytes: new Blob([bytes]), isInMemory: true };
  return { kind: "complete", blob, cacheStatus };
}

/** The whole blob, verified. Tries again elsewhere if a mirror sent wrong bytes. */
async function download(
  digest: Digest,
  source: Source,
  size: number,
): Promise<Uint8Array<ArrayBuffer>> {
  for (;;) {
    const stream = new VerifyingStream({ digest, sources: [source], first: 0, size });
    try {
      await stream.start();
      return await readAll(stream, size);
    } catch (error) {
      stream.cancel();
      // This ends: each retry means that one more mirror was found to be corrupt.
      if (!stream.canRetryElsewhere) throw error;
    }
  }
}

async function readAll(stream: VerifyingStream, size: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(size);
  let length = 0;
  for (;;) {
    const chunk = await stream.read();
    if (!chunk) return bytes;
    bytes.set(chunk, length);
    length += chunk.byteLength;
  }
}

function toBody(
  stream: VerifyingStream,
  { giveUp, ended }: BodyEvents,
): ReadableStream<Uint8Array> {
  let sent = 0;
  let isOver = false;
  const finish = (): void => {
    if (isOver) return;
    isOver = true;
    stream.cancel();
    ended?.(sent);
  };
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const chunk = await stream.read();
          if (isOver) return;
          if (chunk) {
            sent += chunk.byteLength;
            controller.enqueue(chunk);
            return;
          }
          finish();
          controller.close();
        } catch (error) {
          if (isOver) return;
          // Stall instead of failing, as `BodyEvents.giveUp` says.
          giveUp(toFault(error));
          await new Promise(() => {});
        }
      },
      cancel: finish,
    },
    { highWaterMark: 0 },
  );
}
