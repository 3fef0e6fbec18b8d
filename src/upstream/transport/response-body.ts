import { Fault } from "../../oci/fault.ts";
import type { SlowTimes } from "../../process/slow-times.ts";
import { ConnectionsLost } from "../http1/downloads.ts";
import type { BodyReader } from "../http1/get.ts";

/**
 * The lowest accepted transfer rate, in bytes per second of waiting, measured over one stall timeout.
 * A slower registry holds every reader of a layer for hours, where the next source has it at once.
 */
const MIN_RATE = 1024;

/** Without being read for this long, in milliseconds, a server may give a response up: it has timeouts, too. */
const UNREAD_MS = 10_000;
/** Bytes for which the reader had to wait this long, in milliseconds, were sent just now. */
const NEW_BYTES_MS = 100;

/** How a response body ended. */
export interface BodyEnd {
  /** The number of bytes received. */
  readonly bytes: number;
  /** `cancelled`: the reader did not want the rest. */
  readonly outcome: "complete" | "broken" | "cancelled";
  /** Why it broke; absent if this machine read nothing for long, and the sender is not to blame. */
  readonly fault?: Fault;
}

export interface WatchBodyOptions {
  /** For messages. */
  readonly upstream: string;
  /**
   * The longest wait for the next byte, in milliseconds. Time that the reader takes does not count, nor
   * does time in which this machine had no memory left to receive anything.
   */
  readonly stallTimeout: number;
  /** The body's size in bytes, if Content-Length states it. */
  readonly expected?: number;
  /** Learns when it is waited for. */
  readonly waits?: SlowTimes;
  /** Ends the transfer. Its signal's reason becomes the body's error. */
  readonly controller: AbortController;
  /** Converts an error of the network to a Fault. */
  readonly toFault: (cause: unknown) => Promise<Fault>;
  /** Called exactly once, when the transfer ends in any way. */
  readonly onEnd: (end: BodyEnd) => void;
}

/**
 * Wraps a body so that it fails instead of hanging, and always reports its end: a concurrency permit is
 * held until then. It applies backpressure: nothing is read ahead of the reader.
 */
export function watchBody(
  reader: BodyReader,
  options: WatchBodyOptions,
): ReadableStream<Uint8Array> {
  const { controller, expected, stallTimeout } = options;
  /** Milliseconds, without those in which this machine kept the reader from reading. */
  const clock = (): number => performance.now() - (reader.heldBack ?? 0);
  let received = 0;
  /** The current window of the rate check: milliseconds waited, and bytes received. */
  let [waited, windowBytes] = [0, 0];
  /** Milliseconds waited since the first byte was asked for. */
  let waitedInAll = 0;
  let readAt = performance.now();
  /** Whether this machine kept the server from sending, which has sent nothing since. */
  let wasUnread = false;
  let isOver = false;
  const end = (outcome: BodyEnd["outcome"], fault?: Fault): void => {
    if (isOver) return;
    isOver = true;
    controller.signal.removeEventListener("abort", onAbort);
    options.onEnd({ bytes: received, outcome, ...(fault ? { fault } : {}) });
  };
  const onAbort = (): void => end("cancelled");
  // An abort closes the connection even while nothing reads.
  controller.signal.addEventListener("abort", onAbort, { once: true });
  return new ReadableStream<Uint8Array>(
    {
      async pull(stream) {
        const startedAt = clock();
        const away = performance.now() - readAt - (reader.heldBack ?? 0);
        const noteUnread = (): void => {
          if (away + (reader.heldBack ?? 0) >= UNREAD_MS) wasUnread = true;
        };
        const onTimeout = (): void => {
          const left = startedAt + stallTimeout - clock();
          if (left > 1) {
            timer = setTimeout(onTimeout, left);
            return;
          }
          const stalled = timeoutFault(
            options.upstream,
            "send the next bytes",
            stallTimeout,
            isTooSlow(received, waitedInAll + stallTimeout),
          );
          end("broken", stalled);
          controller.abort(stalled);
        };
        let timer = setTimeout(onTimeout, stallTimeout);
        const endWait = options.waits?.begin();
        try {
          const next = await reader.read();
          const { done } = next;
          const bytes = next.done ? 0 : next.value.byteLength;
          received += bytes;
          windowBytes += bytes;
          const elapsed = clock() - startedAt;
          noteUnread();
          if (elapsed >= NEW_BYTES_MS) wasUnread = false;
          waited += elapsed;
          waitedInAll += elapsed;
          if (!done && waited >= stallTimeout) {
            if (windowBytes < (MIN_RATE * waited) / 1000) {
              throw timeoutFault(
                options.upstream,
                `send more than ${windowBytes} bytes`,
                Math.round(waited),
                isTooSlow(received, waitedInAll),
              );
            }
            [waited, windowBytes] = [0, 0];
          }
          if (done && expected !== undefined && received !== expected) {
            throw new Fault({
              kind: "upstream-invalid-response",
              upstream: options.upstream,
              reason: `a body of ${expected} bytes ended after ${received}`,
            });
          }
          if (next.done) {
            end("complete");
            stream.close();
          } else {
            stream.enqueue(next.value);
          }
        } catch (error) {
          // Whoever reads the stream cannot: it has failed. Bytes that are lent have to be given back.
          void reader.cancel(error).catch(() => undefined);
          if (controller.signal.aborted) throw controller.signal.reason;
          noteUnread();
          const fault = await options.toFault(error);
          if (controller.signal.aborted) throw controller.signal.reason;
          end("broken", wasUnread || error instanceof ConnectionsLost ? undefined : fault);
          controller.abort(fault);
          throw fault;
        } finally {
          endWait?.();
          readAt = performance.now();
          clearTimeout(timer);
        }
      },
      async cancel(reason) {
        end("cancelled");
        // In Bun, a `cancel` that rejects can end the process.
        await reader.cancel(reason).catch(() => undefined);
        controller.abort(reason);
      },
    },
    { highWaterMark: 0 },
  );
}

/**
 * Whether a body that is given up was too slow as a whole, bursts and stalls together. One that was fast
 * until its connection hung is worth another one.
 */
function isTooSlow(bytes: number, milliseconds: number): boolean {
  return bytes > 0 && bytes < (MIN_RATE * milliseconds) / 1000;
}

/**
 * @param milliseconds the time waited
 * @param tooSlow see `FaultDetail`
 */
export function timeoutFault(
  upstream: string,
  waitedFor: string,
  milliseconds: number,
  tooSlow = false,
): Fault {
  const seconds = milliseconds / 1000;
  const slow = tooSlow ? ({ isTooSlow: true } as const) : {};
  return new Fault({ kind: "upstream-timeout", upstream, waitedFor, seconds, ...slow });
}

export interface ReadBodyOptions {
  readonly upstream: string;
  /** For messages: `a token`. */
  readonly what: string;
  /** The largest body, in bytes. */
  readonly limit: number;
  /** For the complete body, in milliseconds: a body that trickles never stalls. */
  readonly timeout: number;
}

/**
 * Reads a small body into memory.
 *
 * @throws Fault `upstream-invalid-response` if it exceeds the limit, `upstream-timeout` after the timeout
 */
export async function readBody(
  body: ReadableStream<Uint8Array> | undefined,
  { upstream, what, limit, timeout }: ReadBodyOptions,
): Promise<Uint8Array<ArrayBuffer>> {
  if (!body) return new Uint8Array();
  const reader = body.getReader();
  const timedOut = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => timedOut.reject(timeoutFault(upstream, `send ${what} to its end`, timeout)),
    timeout,
  );
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for (;;) {
      const { done, value } = await Promise.race([reader.read(), timedOut.promise]);
      if (done) break;
      length += value.byteLength;
      if (length > limit) {
        throw new Fault({
          kind: "upstream-invalid-response",
          upstream,
          reason: `${what} of more than ${limit} bytes`,
        });
      }
      chunks.push(value);
    }
  } catch (error) {
    await reader.cancel(error).catch(() => undefined);
    throw error;
  } finally {
    clearTimeout(timer);
  }
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return bytes;
}

/**
 * Reads a response's body and discards it, so that the next request of the same exchange can reuse the
 * connection. A long or slow body is cancelled instead.
 */
export async function discard(body: ReadableStream<Uint8Array> | undefined): Promise<void> {
  const options = { upstream: "", what: "a body", limit: 16_384, timeout: 500 };
  await readBody(body, options).catch(() => undefined);
}
