import { Fault } from "../../oci/fault.ts";

/** In bytes per second of waiting. Who sends less, and for as long as a stall may take, drips. */
const SLOWEST = 256;

/** How a body came to its end. */
export interface BodyEnd {
  /** How many came. */
  readonly bytes: number;
  /** `left`: nobody wanted the rest. */
  readonly how: "whole" | "broken" | "left";
  /** Why it broke. */
  readonly fault?: Fault;
}

export interface WatchBodyOptions {
  /** For messages. */
  readonly upstream: string;
  /** The longest wait for the next byte, in milliseconds. The time a reader takes is not counted. */
  readonly stall: number;
  /** How many bytes the body must have, where its sender said so. */
  readonly expected?: number;
  /** Ends the transfer; its signal's reason becomes the body's error. */
  readonly controller: AbortController;
  /** Turns what the network threw into a Fault. */
  readonly explain: (cause: unknown) => Fault;
  /** Called once, when the transfer is over in whatever way. */
  readonly onEnd: (end: BodyEnd) => void;
}

/**
 * A body that fails instead of hanging, and that always says when it is over: a slot is held until
 * then. Nothing is read ahead of the reader.
 */
export function watchBody(
  source: ReadableStream<Uint8Array>,
  options: WatchBodyOptions,
): ReadableStream<Uint8Array> {
  const { controller, expected } = options;
  const reader = source.getReader();
  let received = 0;
  /** Time that was waited, in milliseconds, and what came in it. */
  let [waited, came] = [0, 0];
  let over = false;
  const end = (how: BodyEnd["how"], fault?: Fault): void => {
    if (over) return;
    over = true;
    controller.signal.removeEventListener("abort", onAbort);
    options.onEnd({ bytes: received, how, ...(fault ? { fault } : {}) });
  };
  const onAbort = (): void => end("left");
  // An abort closes the connection even while nobody reads.
  controller.signal.addEventListener("abort", onAbort, { once: true });
  return new ReadableStream<Uint8Array>(
    {
      async pull(stream) {
        const timer = setTimeout(() => {
          const late = timeout(options.upstream, "send the next bytes", options.stall);
          end("broken", late);
          controller.abort(late);
        }, options.stall);
        const begun = performance.now();
        try {
          const { done, value } = await reader.read();
          received += value?.byteLength ?? 0;
          came += value?.byteLength ?? 0;
          waited += performance.now() - begun;
          if (!done && waited >= options.stall) {
            if (came < (SLOWEST * waited) / 1000) throw drips(options.upstream, came, waited);
            [waited, came] = [0, 0];
          }
          if (done && expected !== undefined && received !== expected) {
            throw new Fault({
              kind: "upstream-invalid-response",
              upstream: options.upstream,
              reason: `a body of ${expected} bytes ended after ${received}`,
            });
          }
          if (done) {
            end("whole");
            stream.close();
          } else {
            stream.enqueue(value);
          }
        } catch (error) {
          if (controller.signal.aborted) throw controller.signal.reason;
          const fault = options.explain(error);
          end("broken", fault);
          controller.abort(fault);
          throw fault;
        } finally {
          clearTimeout(timer);
        }
      },
      async cancel(reason) {
        end("left");
        // A cancel that throws can end the process (notes/bun.md, trap 13).
        await reader.cancel(reason).catch(() => undefined);
        controller.abort(reason);
      },
    },
    { highWaterMark: 0 },
  );
}

/** A stall that never stands still: it would hold a connection and whoever waits for days. */
function drips(upstream: string, bytes: number, milliseconds: number): Fault {
  const waitedFor = `send more than ${bytes} bytes`;
  return timeout(upstream, waitedFor, Math.round(milliseconds));
}

/** @param milliseconds how long was waited */
export function timeout(upstream: string, waitedFor: string, milliseconds: number): Fault {
  return new Fault({ kind: "upstream-timeout", upstream, waitedFor, seconds: milliseconds / 1000 });
}

export interface SmallBody {
  readonly upstream: string;
  /** For messages: `a token`. */
  readonly what: string;
  /** In bytes. */
  readonly limit: number;
  /** For the whole of it, in milliseconds: a body that drips never stalls. */
  readonly deadline: number;
}

/**
 * Reads a body that belongs in memory.
 *
 * @throws Fault `upstream-invalid-response` where it is over the limit, `upstream-timeout` where it is late
 */
export async function readSmall(
  body: ReadableStream<Uint8Array> | undefined,
  { upstream, what, limit, deadline }: SmallBody,
): Promise<Uint8Array<ArrayBuffer>> {
  if (!body) return new Uint8Array();
  const reader = body.getReader();
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(timeout(upstream, `send ${what} to its end`, deadline)),
    deadline,
  );
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for (;;) {
      const { done, value } = await Promise.race([reader.read(), late.promise]);
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
 * Gets an answer's body out of the way, so that the next request of the same exchange does not
 * need a second connection. What is long or late is cut off instead.
 */
export async function discard(body: ReadableStream<Uint8Array> | undefined): Promise<void> {
  const small = { upstream: "", what: "a body", limit: 16_384, deadline: 500 };
  await readSmall(body, small).catch(() => undefined);
}
