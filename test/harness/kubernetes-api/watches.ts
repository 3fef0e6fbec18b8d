import type { ObjectStore } from "./object-store.ts";
import type { Resource } from "./resource-paths.ts";
import { statusObject } from "./status.ts";

type Query = Readonly<Record<string, string>>;

interface OpenWatch {
  readonly resource: Resource;
  readonly wantsBookmarks: boolean;
  readonly send: (event: object) => void;
  readonly write: (line: string) => void;
  readonly end: () => void;
}

const encoder = new TextEncoder();

/** Watches that clients hold: each a chunked response of one event a line. */
export class Watches {
  readonly #store: ObjectStore;
  readonly #open = new Set<OpenWatch>();
  /** Whether a version that is too old is refused by the status, as by some versions and proxies, or by an event. */
  refusesByStatus = false;

  constructor(store: ObjectStore) {
    this.#store = store;
  }

  /** How many are open now. */
  get count(): number {
    return this.#open.size;
  }

  open(resource: Resource, query: Query): Response {
    const { plural, namespace, kind, apiVersion } = resource;
    const from = Number(query["resourceVersion"] ?? this.#store.version);
    const gone = statusObject(410, "Expired", `too old resource version: ${from}`);
    if (this.refusesByStatus && from < this.#store.compacted) {
      return Response.json(gone, { status: 410 });
    }
    let unsubscribe: (() => void) | undefined;
    let watch: OpenWatch | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const forget = (): void => {
      clearTimeout(timer);
      unsubscribe?.();
      if (watch) this.#open.delete(watch);
    };
    const body = new ReadableStream<Uint8Array>({
      start: (stream) => {
        const write = (line: string): void => stream.enqueue(encoder.encode(`${line}\n`));
        const send = (event: object): void => write(JSON.stringify(event));
        const end = (): void => {
          forget();
          stream.close();
        };
        watch = {
          resource,
          wantsBookmarks: query["allowWatchBookmarks"] === "true",
          send,
          write,
          end,
        };
        unsubscribe = this.#store.since(from, (change) => {
          const { metadata } = change.object;
          if (change.plural !== plural) return;
          if (namespace !== undefined && metadata.namespace !== namespace) return;
          send({ type: change.type, object: { kind, apiVersion, ...change.object } });
        });
        if (!unsubscribe) {
          send({ type: "ERROR", object: gone });
          return end();
        }
        this.#open.add(watch);
        // Bun sends the headers with the first bytes.
        write("");
        const seconds = Number(query["timeoutSeconds"] ?? 1800);
        timer = setTimeout(end, seconds * 1000);
      },
      cancel: forget,
    });
    return new Response(body, { headers: { "content-type": "application/json" } });
  }

  /** Tells all who want it how far they have seen everything. */
  bookmark(): void {
    for (const { resource, wantsBookmarks, send } of this.#open) {
      if (!wantsBookmarks) continue;
      const { kind, apiVersion } = resource;
      const metadata = { resourceVersion: String(this.#store.version) };
      send({ type: "BOOKMARK", object: { kind, apiVersion, metadata } });
    }
  }

  /** Sends a line to the watches of pods in a namespace, whatever it is. */
  sendLine(namespace: string, line: string): void {
    for (const { resource, write } of this.#open) {
      if (resource.plural === "pods" && resource.namespace === namespace) write(line);
    }
  }

  /** Ends them as a server does when their time has come. */
  end(): void {
    for (const watch of this.#open) watch.end();
  }
}
