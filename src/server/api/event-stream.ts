/** A comment is sent after so much silence, so that proxies and clients keep the connection, in milliseconds. */
const KEEP_ALIVE_MS = 15_000;

/** One server-sent event. */
export interface ServerEvent {
  readonly event?: string;
  readonly id?: string;
  /** Becomes JSON. */
  readonly data: unknown;
}

/** One whose data is JSON already. */
export interface EncodedEvent extends Omit<ServerEvent, "data"> {
  readonly json: string;
}

/** An event as it is sent: for many readers, it is made once. */
export function encodeEvent({ event, id, json }: EncodedEvent): Uint8Array {
  return new TextEncoder().encode(linesOf(event, id, json));
}

/**
 * A response of server-sent events. The next event is asked for only once the client has read the one before,
 * so a slow client takes no memory. The events end when the client goes away.
 *
 * @param onEnd called once, when they end
 */
export function eventStream(
  events: AsyncIterator<ServerEvent | Uint8Array>,
  onEnd: () => void = () => {},
): Response {
  const encoder = new TextEncoder();
  let pending: Promise<IteratorResult<ServerEvent | Uint8Array>> | undefined;
  let hasEnded = false;
  const end = async (): Promise<void> => {
    hasEnded = true;
    onEnd();
    // A generator ends only at its next event: nobody waits for that.
    void events.return?.();
  };
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        pending ??= events.next();
        const next = await orSilence(pending, KEEP_ALIVE_MS).catch((error: unknown) => {
          onEnd();
          throw error;
        });
        if (hasEnded) return;
        if (next === "silence") {
          controller.enqueue(encoder.encode(": still here\n\n"));
          return;
        }
        pending = undefined;
        if (next.done) {
          onEnd();
          controller.close();
        } else if (next.value instanceof Uint8Array) controller.enqueue(next.value);
        else controller.enqueue(encoder.encode(textOf(next.value)));
      },
      cancel: end,
    },
    { highWaterMark: 0 },
  );
  return new Response(body, {
    headers: {
      "content-type": "text/event-stream",
      "cache-control": "no-store",
      // nginx would hold events back.
      "x-accel-buffering": "no",
    },
  });
}

async function orSilence<Value>(
  value: Promise<Value>,
  patience: number,
): Promise<Value | "silence"> {
  const silence = Promise.withResolvers<"silence">();
  const timer = setTimeout(() => silence.resolve("silence"), patience);
  try {
    return await Promise.race([value, silence.promise]);
  } finally {
    clearTimeout(timer);
  }
}

function textOf({ event, id, data }: ServerEvent): string {
  return linesOf(event, id, JSON.stringify(data));
}

/** JSON has no line breaks, so one line of `data` is enough. */
function linesOf(event: string | undefined, id: string | undefined, json: string): string {
  const lines = [
    ...(event === undefined ? [] : [`event: ${event}`]),
    ...(id === undefined ? [] : [`id: ${id}`]),
    `data: ${json}`,
  ];
  return `${lines.join("\n")}\n\n`;
}
