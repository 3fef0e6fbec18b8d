/** Between two lines of progress, in milliseconds. */
const TELL_EVERY = 200;

/** How far something is that takes a while. */
export interface Done {
  readonly files: number;
  /** In bytes. */
  readonly bytes: number;
  /** As much as there is, where it is known. */
  readonly of?: { readonly files: number; readonly bytes: number };
}

/**
 * Lines of JSON: progress as it is made, and at last the result, or why there is none. Who asked may
 * be gone by then.
 */
export function progressStream(
  signal: AbortSignal,
  work: (onProgress: (done: Done) => void) => Promise<object>,
): Response {
  const encoder = new TextEncoder();
  let told = 0;
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      const tell = (line: object): void => {
        if (!signal.aborted) controller.enqueue(encoder.encode(`${JSON.stringify(line)}\n`));
      };
      const onProgress = ({ files, bytes, of }: Done): void => {
        if (performance.now() - told < TELL_EVERY) return;
        told = performance.now();
        tell({ files, bytes, ...(of ? { of } : {}) });
      };
      void work(onProgress)
        .then((result) => tell({ result }))
        .catch((error: unknown) =>
          tell({ error: error instanceof Error ? error.message : String(error) }),
        )
        .finally(() => {
          if (!signal.aborted) controller.close();
        });
    },
  });
  return new Response(body, { headers: { "content-type": "application/x-ndjson" } });
}
