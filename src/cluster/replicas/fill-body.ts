import type { Fill } from "../../cache/fill/fill.ts";
import { follow } from "../../cache/fill/follow.ts";

const MIB = 1024 * 1024;
/**
 * How far ahead of what other replicas receive a blob may be downloaded, in bytes: what they lack is downloaded again
 * where this one dies. Parts ahead are enough for several connections; what comes in order gains nothing by it.
 */
const LEAD = { inOrder: 2 * MIB, parts: 6 * MIB };

/**
 * The bytes of a fill from an offset on, for another replica. It ends early where the fill cannot go on: the other
 * one goes on elsewhere at once, and this one need not read for it what it cannot store.
 *
 * @param ended called once it is read, or not read any more: early if there was more to come
 */
export function fillBody(
  fill: Fill,
  first: number,
  size: number,
  ended: (isEarly: boolean) => void,
): ReadableStream<Uint8Array> {
  const gaveUp = new AbortController();
  const body = follow(fill, {
    first,
    size,
    end: size,
    lead: LEAD,
    endsWithFill: true,
    copiesChunks: true,
    giveUp: () => gaveUp.abort(),
    ended: (sent) => ended(sent < size - first && !fill.isVerified),
  });
  return endingEarly(body, gaveUp.signal);
}

/**
 * The bytes of a body until a signal comes, which ends it without an error. Exported for its test.
 *
 * Each read is raced by hand: a promise that all reads are raced against would hold every chunk until it settles.
 */
export function endingEarly(
  body: ReadableStream<Uint8Array>,
  signal: AbortSignal,
): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  let endRead = (): void => {};
  signal.addEventListener("abort", () => endRead(), { once: true });
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const chunk = await new Promise<Uint8Array | undefined>((resolve, reject) => {
          endRead = () => resolve(undefined);
          if (signal.aborted) return endRead();
          reader.read().then(({ value }) => resolve(value), reject);
        });
        if (chunk) return controller.enqueue(chunk);
        controller.close();
        if (signal.aborted) await reader.cancel();
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}
