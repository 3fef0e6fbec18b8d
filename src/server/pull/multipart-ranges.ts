import { randomBytes } from "node:crypto";
import type { BodyEvents } from "../../cache/results.ts";
import type { Digest } from "../../oci/digest.ts";
import type { ByteRange } from "../../oci/range.ts";
import type { StoredBlob } from "../../store/blob-store.ts";
import { storageFault } from "../../store/storage-fault.ts";

/** How much is read from the store at once, in bytes. */
const READ_BYTES = 256 * 1024;

export interface MultipartOptions {
  /** The media type of each part. */
  readonly type: string;
  /** Called with the error of a read that failed, and where in the blob that was, in bytes. */
  readonly onReadFailed: (cause: unknown, at: number) => void;
}

/** The body of a 206 with several ranges. */
export interface MultipartRanges {
  readonly contentType: string;
  body(events: BodyEvents): ReadableStream<Uint8Array>;
}

/** Several ranges of a stored blob as `multipart/byteranges` (RFC 9110 section 14.6). */
export function multipartRanges(
  blob: StoredBlob,
  ranges: readonly ByteRange[],
  { type, onReadFailed }: MultipartOptions,
): MultipartRanges {
  const boundary = randomBytes(16).toString("hex");
  const encoder = new TextEncoder();
  const heads = ranges.map(({ first, last }, at) =>
    encoder.encode(
      `${at > 0 ? "\r\n" : ""}--${boundary}\r\nContent-Type: ${type}\r\nContent-Range: bytes ${first}-${last}/${blob.size}\r\n\r\n`,
    ),
  );
  const tail = encoder.encode(`\r\n--${boundary}--\r\n`);
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (const [at, { first, last }] of ranges.entries()) {
      yield heads[at] ?? tail;
      for (let from = first; from <= last; from += READ_BYTES) {
        const end = Math.min(from + READ_BYTES, last + 1);
        const bytes = await blob.bytes
          .slice(from, end)
          .bytes()
          .catch((cause: unknown) => {
            onReadFailed(cause, from);
            throw cause;
          });
        if (bytes.byteLength !== end - from) throw new Error("the stored blob is too short");
        yield bytes;
      }
    }
    yield tail;
  }
  return {
    contentType: `multipart/byteranges; boundary=${boundary}`,
    body: (events) => toStream(pieces(), blob.digest, events),
  };
}

function toStream(
  pieces: AsyncGenerator<Uint8Array>,
  digest: Digest,
  { giveUp, ended }: BodyEvents,
): ReadableStream<Uint8Array> {
  let sent = 0;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { value, done } = await pieces.next();
          if (done) {
            controller.close();
            ended?.(sent);
            return;
          }
          sent += value.byteLength;
          controller.enqueue(value);
        } catch (error) {
          // The blob was evicted meanwhile, or cannot be read. Stall instead of failing, as `BodyEvents.giveUp` says.
          giveUp(storageFault(`read ${digest}`, error));
          await new Promise(() => {});
        }
      },
      cancel: () => ended?.(sent),
    },
    { highWaterMark: 0 },
  );
}
