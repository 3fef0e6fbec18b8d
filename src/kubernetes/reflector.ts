import { isObject } from "../oci/json-object.ts";
import type { ApiClient } from "./api-client.ts";
import { KubernetesError } from "./kubernetes-error.ts";
import { readListPage } from "./list-page.ts";
import { watchEvents } from "./watch-events.ts";

/** In a page of a list: a pod has some 10 KB. */
const PAGE = 100;
/** How long a server holds a watch, in seconds: as long again is waited for its end. */
const WATCH_SECONDS = 240;
const WATCH_GRACE_MS = 30_000;
/** Of objects of one kind: some 10 MB. */
const MAX_OBJECTS = 50_000;

/** What a reflector tells. */
export interface ReflectorTarget<Value> {
  /** What is kept of an object; `undefined` if nothing is. */
  readonly valueOf: (object: Readonly<Record<string, unknown>>) => Value | undefined;
  /** Objects have changed, or all of them are known for the first time. */
  readonly changed: () => void;
  /** The last request failed, and the next one has not been answered yet; `undefined`: it was. */
  readonly failed: (error: KubernetesError | undefined) => void;
}

export interface ReflectorOptions {
  /** Milliseconds before the next request after a failure: twice as long after each, with jitter. */
  readonly firstPause?: number;
  readonly longestPause?: number;
  readonly watchSeconds?: number;
  readonly page?: number;
  /** Replaces timers, in tests. Resolves early when the signal aborts. */
  readonly rest?: (milliseconds: number, signal: AbortSignal) => Promise<void>;
}

/**
 * Keeps what is wanted of all objects of a kind as they are now: lists them page by page, and watches for changes
 * from the list's version on. A watch that ends goes on where it was; only if that is too long ago (410), or if the
 * server refuses it, are they listed again. Meanwhile, all stays known as it was.
 */
export class Reflector<Value> implements Disposable {
  readonly #client: ApiClient;
  readonly #path: string;
  readonly #target: ReflectorTarget<Value>;
  readonly #options: Required<ReflectorOptions>;
  readonly #stop = new AbortController();
  #objects: Map<string, Value> | undefined;

  /** @param path `/apis/apps/v1/deployments` */
  constructor(
    client: ApiClient,
    path: string,
    target: ReflectorTarget<Value>,
    options: ReflectorOptions = {},
  ) {
    this.#client = client;
    this.#path = path;
    this.#target = target;
    const defaults = { firstPause: 500, longestPause: 30_000, watchSeconds: WATCH_SECONDS };
    this.#options = { ...defaults, page: PAGE, rest, ...options };
    void this.#run(this.#stop.signal);
  }

  /** By `namespace/name`; `undefined` until they were listed. */
  get objects(): ReadonlyMap<string, Value> | undefined {
    return this.#objects;
  }

  [Symbol.dispose](): void {
    this.#stop.abort();
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { firstPause, longestPause, rest: pauseFor } = this.#options;
    let version: string | undefined;
    let pause = firstPause;
    while (!signal.aborted) {
      const startedAt = performance.now();
      const isListed = version !== undefined;
      try {
        version ??= await this.#list(signal);
        version = await this.#watch(version, signal, (seen) => (version = seen));
        // A server, or a proxy before it, that ends every watch at once is asked less and less often.
        if (performance.now() - startedAt > firstPause) pause = firstPause;
      } catch (error) {
        if (signal.aborted) return;
        const failure = failureOf(error);
        // Until all is listed again, what is known is not current.
        this.#target.failed(failure);
        // A server that lost its newest versions, as after a restored backup, refuses them for ever.
        if (failure.kind === "gone" || failure.kind === "failed") version = undefined;
        const isOld = failure.kind === "gone" && isListed;
        if (isOld || performance.now() - startedAt > longestPause) pause = firstPause;
      }
      await pauseFor(pause * (0.5 + Math.random() / 2), signal);
      pause = Math.min(2 * pause, longestPause);
    }
  }

  /** @returns the version of the list */
  async #list(signal: AbortSignal): Promise<string> {
    const objects = new Map<string, Value>();
    let next: string | undefined;
    for (;;) {
      const query = new URLSearchParams({ limit: String(this.#options.page) });
      if (next !== undefined) query.set("continue", next);
      const text = await this.#client.read(`${this.#path}?${query.toString()}`, signal);
      const page = await readListPage(text, (item) => this.#put(objects, item));
      next = page.next;
      if (next !== undefined) continue;
      this.#objects = objects;
      this.#target.failed(undefined);
      this.#target.changed();
      return page.resourceVersion;
    }
  }

  /** @returns the version up to which all changes are known, when the watch has ended as planned */
  async #watch(
    from: string,
    signal: AbortSignal,
    seen: (version: string) => void,
  ): Promise<string> {
    const { watchSeconds } = this.#options;
    const query = new URLSearchParams({
      watch: "true",
      allowWatchBookmarks: "true",
      resourceVersion: from,
      timeoutSeconds: String(Math.round(watchSeconds * (1 + Math.random() / 2))),
    });
    // A connection that was cut silently would never end.
    const late = AbortSignal.timeout(watchSeconds * 1500 + WATCH_GRACE_MS);
    const ended = AbortSignal.any([signal, late]);
    let version = from;
    try {
      const response = await this.#client.open(`${this.#path}?${query.toString()}`, ended);
      this.#target.failed(undefined);
      for await (const event of watchEvents(response.body ?? emptyBody(), this.#path)) {
        version = event.resourceVersion;
        seen(version);
        if (event.type === "BOOKMARK") continue;
        this.#apply(event.type === "DELETED", event.object);
      }
      return version;
    } catch (error) {
      if (late.aborted && !signal.aborted) return version;
      throw this.#client.away(error, signal);
    }
  }

  #apply(isDeleted: boolean, object: Readonly<Record<string, unknown>>): void {
    const objects = this.#objects;
    if (!objects) return;
    const key = keyOf(object);
    const isChange = isDeleted
      ? key !== undefined && objects.delete(key)
      : this.#put(objects, object);
    if (isChange) this.#target.changed();
  }

  /** Returns whether what is known of it has changed: most changes of a pod are about its health. */
  #put(objects: Map<string, Value>, object: unknown): boolean {
    const key = isObject(object) ? keyOf(object) : undefined;
    if (!isObject(object) || key === undefined) return false;
    const value = this.#target.valueOf(object);
    if (value === undefined) return objects.delete(key);
    if (objects.size >= MAX_OBJECTS && !objects.has(key)) {
      const what = `${this.#client.address}${this.#path} has more than ${MAX_OBJECTS} objects`;
      const next = "name fewer namespaces in kubernetes.namespaces";
      throw new KubernetesError("failed", `${what}: ${next}`);
    }
    if (Bun.deepEquals(objects.get(key), value)) return false;
    objects.set(key, value);
    return true;
  }
}

/** Whatever goes wrong here must not end the program. */
function failureOf(error: unknown): KubernetesError {
  if (error instanceof KubernetesError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new KubernetesError("failed", `reading the cluster failed: ${message}`, { cause: error });
}

/** `namespace/name`, or `name` of what is in no namespace. */
function keyOf({ metadata }: Readonly<Record<string, unknown>>): string | undefined {
  if (!isObject(metadata)) return undefined;
  const { namespace, name } = metadata;
  if (typeof name !== "string" || name === "") return undefined;
  return typeof namespace === "string" && namespace !== "" ? `${namespace}/${name}` : name;
}

function emptyBody(): ReadableStream<Uint8Array> {
  return new ReadableStream({ start: (stream) => stream.close() });
}

/** A pause that ends early if it is of no use any more, and does not keep the process running. */
async function rest(milliseconds: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, milliseconds).unref();
  const onAbort = (): void => resolve();
  signal.addEventListener("abort", onAbort, { once: true });
  await promise;
  clearTimeout(timer);
  signal.removeEventListener("abort", onAbort);
}
