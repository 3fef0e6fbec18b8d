import type { Fill } from "../../cache/fill/fill.ts";
import { follow } from "../../cache/fill/follow.ts";

/**
 * The bytes of a fill from an offset on, for another replica. It ends early where the fill cannot go on: the other
 * one goes on elsewhere at once, and this one need not read for it what it cannot store.
 */
export function fillBody(
  fill: Fill,
  first: number,
  size: number,
  ended: () => void,
): ReadableStream<Uint8Array> {
  const gaveUp = Promise.withResolvers<undefined>();
  const reader = follow(fill, {
    first,
    size,
    end: size,
    endsWithFill: true,
    copiesChunks: true,
    giveUp: () => gaveUp.resolve(undefined),
    ended,
  }).getReader();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const chunk = await Promise.race([reader.read(), gaveUp.promise]);
        if (chunk && !chunk.done) return controller.enqueue(chunk.value);
        controller.close();
        if (!chunk) await reader.cancel();
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}
