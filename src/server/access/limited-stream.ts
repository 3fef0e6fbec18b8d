/** How long a stream of events goes on without a look at who reads it, in milliseconds. */
const LONGEST_MS = 60 * 60 * 1000;

/**
 * Ends a stream of server-sent events when tokens change, and after an hour: its reader asks again by itself, and
 * gets no more if its token or its session has ended. Also when the cache stops, which waits for no reader of
 * events. Other responses are left as they are.
 *
 * @param ends abort when tokens change, and when the cache stops
 */
export function limitStream(response: Response, ends: readonly AbortSignal[]): Response {
  const type = response.headers.get("content-type") ?? "";
  if (!response.body || !type.startsWith("text/event-stream")) return response;
  const over = AbortSignal.any([...ends, AbortSignal.timeout(LONGEST_MS)]);
  const limited = response.body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      start(controller) {
        over.addEventListener("abort", () => controller.terminate(), { once: true });
      },
    }),
  );
  return new Response(limited, response);
}
