import type { Job } from "../../api/jobs.ts";
import type { Overview } from "../../api/overview.ts";
import type { Pull } from "../../api/pulls.ts";
import type { Liveness } from "../whole/app.tsx";

/** When a stream that the cache has refused is asked for again, in milliseconds: it may be starting. */
const RETRY_MS = 3000;

export interface Listener {
  readonly liveness: (liveness: Liveness) => void;
  readonly overview: (overview: Overview) => void;
  readonly pulls: (pulls: readonly Pull[]) => void;
  readonly job: (job: Job) => void;
}

/**
 * Listens to the events of the cache, also after it was away.
 *
 * @returns ends it
 */
export function listen(listener: Listener): () => void {
  let source: EventSource | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const open = (): void => {
    const current = new EventSource("/api/v1/events");
    source = current;
    current.addEventListener("open", () => listener.liveness("live"));
    current.addEventListener("error", () => {
      listener.liveness("away");
      // It reconnects by itself, unless it was refused.
      if (current.readyState === EventSource.CLOSED) timer = setTimeout(open, RETRY_MS);
    });
    const on = (name: string, take: (data: unknown) => void): void => {
      current.addEventListener(name, (event: MessageEvent<string>) => take(JSON.parse(event.data)));
    };
    // The cache writes them as its API is described.
    on("overview", (data) => listener.overview(data as Overview));
    on("pull", (data) => listener.pulls(data as readonly Pull[]));
    on("job", (data) => listener.job(data as Job));
  };

  open();
  return () => {
    clearTimeout(timer);
    source?.close();
  };
}
