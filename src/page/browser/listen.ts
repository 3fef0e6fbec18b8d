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
  /** From now on, all changes are told: what happened before has to be asked for. */
  readonly connected: () => void;
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
    current.addEventListener("open", () => {
      listener.liveness("live");
      listener.connected();
    });
    current.addEventListener("error", () => {
      listener.liveness("away");
      // It reconnects by itself, unless it was refused.
      if (current.readyState === EventSource.CLOSED) void refused();
    });
    const on = (name: string, take: (data: unknown) => void): void => {
      current.addEventListener(name, (event: MessageEvent<string>) => take(JSON.parse(event.data)));
    };
    // The cache writes them as its API is described.
    on("overview", (data) => listener.overview(data as Overview));
    on("pull", (data) => listener.pulls(data as readonly Pull[]));
    on("job", (data) => listener.job(data as Job));
  };

  const refused = async (): Promise<void> => {
    // A session ends with its token, and with the cache: the page itself leads to the login then.
    if (await isLoggedOut()) location.reload();
    else timer = setTimeout(open, RETRY_MS);
  };

  open();
  return () => {
    clearTimeout(timer);
    source?.close();
  };
}

/** The jobs that the cache has; undefined if it does not answer. */
export async function readJobs(): Promise<readonly Job[] | undefined> {
  const response = await ask();
  if (!response?.ok) return undefined;
  // The cache writes them as its API is described.
  const { items } = (await response.json()) as { readonly items: readonly Job[] };
  return items;
}

async function isLoggedOut(): Promise<boolean> {
  return (await ask())?.status === 401;
}

function ask(): Promise<Response | undefined> {
  return fetch("/api/v1/jobs").catch(() => undefined);
}
