/** How long a stream of events goes on without a look at who reads it, in milliseconds. */
const LONGEST_MS = 60 * 60 * 1000;

/**
 * Ends a stream of server-sent events when tokens change, and after an hour: its reader asks again by itself, and
 * gets no more if its token or its session has ended. Other responses are left as they are.
 */
export function limitStream(response: Response, tokensChanged: AbortSignal): Response {
  const type = response.headers.get("content-type") ?? "";
  if (!response.body || !type.startsWith("text/event-stream")) return response;
  const over = AbortSignal.any([tokensChanged, AbortSignal.timeout(LONGEST_MS)]);
  const limited = response.body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      start(controller) {
        over.addEventListener("abort", () => controller.terminate(), { once: true });
      },
    }),
  );
  return new Response(limited, response);
}
