/** How long a stream of events goes on without a look at who reads it, in milliseconds. */
const LONGEST_MS = 60 * 60 * 1000;

/**
 * Ends a stream of server-sent events when tokens change, and after an hour: its reader asks again by itself, and
 * gets no more if its token or its session has ended. Also when the cache stops, which waits for no reader of
 * events. Other responses are left as they are.
 *
 * @param ends abort when tokens change, and when the cache stops
 * @param onTaken called whenever the client has taken what was sent
 */
export function limitStream(
  response: Response,
  ends: readonly AbortSignal[],
  onTaken: () => void = () => {},
): Response {
  const type = response.headers.get("content-type") ?? "";
  if (!response.body || !type.startsWith("text/event-stream")) return response;
  return new Response(limited(response.body, ends, onTaken), response);
}

function limited(
  stream: ReadableStream<Uint8Array>,
  ends: readonly AbortSignal[],
  onTaken: () => void,
): ReadableStream<Uint8Array> {
  const reader = stream.getReader();
  let isOver = false;
  // Streams come and go all the time, and the signals stay: none of them may be left at these.
  let release = (): void => {};
  const end = (): void => {
    isOver = true;
    release();
  };
  return new ReadableStream({
    start(controller) {
      const stop = (): void => {
        end();
        controller.close();
        void reader.cancel().catch(() => {});
      };
      const timer = setTimeout(stop, LONGEST_MS).unref();
      for (const signal of ends) signal.addEventListener("abort", stop);
      release = () => {
        clearTimeout(timer);
        for (const signal of ends) signal.removeEventListener("abort", stop);
      };
      if (ends.some(({ aborted }) => aborted)) stop();
    },
    async pull(controller) {
      onTaken();
      const { done, value } = await reader.read();
      if (isOver) return;
      if (!done) return controller.enqueue(value);
      end();
      controller.close();
    },
    cancel(reason) {
      end();
      return reader.cancel(reason);
    },
  });
}
