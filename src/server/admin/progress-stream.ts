/** Minimum time between two progress lines, in milliseconds. */
const REPORT_INTERVAL = 200;

/** The progress of a long operation. */
export interface Progress {
  readonly files: number;
  /** In bytes. */
  readonly bytes: number;
  /** The totals, if they are known. */
  readonly of?: { readonly files: number; readonly bytes: number };
}

/**
 * A response of JSON lines (NDJSON): progress, and at the end `result` or `error`. Progress is left out
 * while the client does not read. The work goes on if the client disconnects, unless it watches the signal.
 *
 * @param signal aborts when the client disconnects
 */
export function progressStream(
  signal: AbortSignal,
  work: (onProgress: (progress: Progress) => void) => Promise<object>,
): Response {
  const encoder = new TextEncoder();
  let reportedAt = 0;
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      const send = (line: object): void => {
        if (!signal.aborted) controller.enqueue(encoder.encode(`${JSON.stringify(line)}\n`));
      };
      const onProgress = ({ files, bytes, of }: Progress): void => {
        if (performance.now() - reportedAt < REPORT_INTERVAL) return;
        if ((controller.desiredSize ?? 0) <= 0) return;
        reportedAt = performance.now();
        send({ files, bytes, ...(of ? { of } : {}) });
      };
      void work(onProgress)
        .then((result) => send({ result }))
        .catch((error: unknown) =>
          send({ error: error instanceof Error ? error.message : String(error) }),
        )
        .finally(() => {
          if (!signal.aborted) controller.close();
        });
    },
  });
  return new Response(body, { headers: { "content-type": "application/x-ndjson" } });
}
