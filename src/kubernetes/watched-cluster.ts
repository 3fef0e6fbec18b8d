import type { KubernetesSettings } from "../config/kubernetes-api/kubernetes-settings.ts";
import { EventLoopYielder } from "../event-loop/event-loop-yielder.ts";
import { type ImageReference, parseImageReference } from "../oci/image-reference.ts";
import { ApiClient } from "./api-client.ts";
import type { Cluster, ClusterImage, ClusterState } from "./cluster.ts";
import type { KubernetesError } from "./kubernetes-error.ts";
import { Reflector, type ReflectorOptions } from "./reflector.ts";
import { type ObjectImages, platformOfNode, type Resource, RESOURCES } from "./resources.ts";

/** Changes come in bursts, such as a rollout, in milliseconds. */
const SETTLE_MS = 1000;
/** How long a caller waits for the first lists, in milliseconds. */
const PATIENCE_MS = 30_000;
/** Different texts that name images: as many as a large cluster has. */
const MAX_NAMES = 20_000;

export interface WatchedClusterOptions extends ReflectorOptions {
  readonly headersTimeout?: number;
  readonly settle?: number;
  readonly patience?: number;
}

/** One kind of objects in one namespace, or in all. */
interface Watched {
  readonly resource: Resource;
  readonly reflector: Reflector<ObjectImages>;
}

/** A cluster whose API is listed once and then watched, over one connection for each kind of objects. */
export class WatchedCluster implements Cluster {
  readonly #client: ApiClient;
  readonly #options: WatchedClusterOptions;
  readonly #watched: readonly Watched[];
  readonly #nodes: Reflector<string>;
  /** By what fails now. Nodes may be forbidden: they only tell platforms. */
  readonly #failures = new Map<string, KubernetesError>();
  readonly #listeners: (() => void)[] = [];
  readonly #parsed = new Map<string, ImageReference | undefined>();
  #settling: ReturnType<typeof setTimeout> | undefined;
  #first = Promise.withResolvers<void>();

  constructor(settings: KubernetesSettings, options: WatchedClusterOptions = {}) {
    this.#options = options;
    this.#client = new ApiClient(settings.access, options);
    const places = settings.namespaces?.map((name) => `/namespaces/${name}`) ?? [""];
    this.#watched = RESOURCES.flatMap((resource) =>
      places.map((place) => ({
        resource,
        reflector: this.#reflect(`${resource.group}${place}/${resource.plural}`, resource.imagesOf),
      })),
    );
    const target = { valueOf: platformOfNode, changed: () => this.#changed(), failed: () => {} };
    this.#nodes = new Reflector(this.#client, "/api/v1/nodes", target, options);
  }

  get state(): ClusterState {
    const [failure] = this.#failures.values();
    if (failure) return { isCurrent: false, problem: failure.message };
    return { isCurrent: this.#isKnown };
  }

  onChange(changed: () => void): void {
    this.#listeners.push(changed);
  }

  async *images(signal: AbortSignal): AsyncGenerator<ClusterImage> {
    await this.#known(signal);
    const nodes = this.#nodes.objects ?? new Map<string, string>();
    const all = [...new Set(nodes.values())].toSorted();
    const yielder = new EventLoopYielder();
    for (const { resource, reflector } of this.#watched) {
      for (const [name, object] of reflector.objects ?? []) {
        await yielder.pause();
        signal.throwIfAborted();
        const by = `${resource.kind} ${name}`;
        const platforms = platformsOf(object, nodes, all);
        const where = platforms.length > 0 ? { platforms } : {};
        const { isRunning, hosts } = object;
        const at = hosts ? { hosts } : {};
        for (const image of this.#references(object)) {
          yield { image, by, isRunning, ...where, ...at };
        }
      }
    }
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#settling);
    for (const { reflector } of this.#watched) reflector[Symbol.dispose]();
    this.#nodes[Symbol.dispose]();
    this.#client[Symbol.dispose]();
  }

  /** Whether all was listed once. */
  get #isKnown(): boolean {
    return this.#watched.every(({ reflector }) => reflector.objects !== undefined);
  }

  async #known(signal: AbortSignal): Promise<void> {
    const { patience = PATIENCE_MS } = this.#options;
    const late = AbortSignal.any([signal, AbortSignal.timeout(patience)]);
    while (!this.#isKnown) {
      signal.throwIfAborted();
      const { problem } = this.state;
      if (problem !== undefined) throw new Error(problem);
      if (late.aborted) {
        throw new Error(`the Kubernetes API at ${this.#client.address} takes too long to list all`);
      }
      await Promise.race([this.#first.promise, aborted(late)]);
    }
  }

  #reflect(path: string, imagesOf: Resource["imagesOf"]): Reflector<ObjectImages> {
    return new Reflector(
      this.#client,
      path,
      {
        valueOf: imagesOf,
        changed: () => this.#changed(),
        failed: (error) => {
          const before = this.#failures.get(path);
          if (error) this.#failures.set(path, error);
          else this.#failures.delete(path);
          if (before?.message !== error?.message) this.#changed();
        },
      },
      this.#options,
    );
  }

  #changed(): void {
    this.#first.resolve();
    this.#first = Promise.withResolvers();
    this.#settling ??= setTimeout(() => {
      this.#settling = undefined;
      for (const changed of this.#listeners) changed();
    }, this.#options.settle ?? SETTLE_MS).unref();
  }

  /** By name, and by the digest that runs: a tag may have moved since. */
  #references({ images, running }: ObjectImages): ImageReference[] {
    return [...new Set([...images, ...running])].flatMap((name) => this.#parse(name) ?? []);
  }

  /** Many objects name the same image. */
  #parse(name: string): ImageReference | undefined {
    if (this.#parsed.has(name)) return this.#parsed.get(name);
    const image = parseImageReference(name);
    if (this.#parsed.size >= MAX_NAMES) this.#parsed.clear();
    this.#parsed.set(name, image);
    return image;
  }
}

/** Where an object runs; for a template, where it could. */
function platformsOf(
  { node, os, architecture }: ObjectImages,
  nodes: ReadonlyMap<string, string>,
  all: readonly string[],
): readonly string[] {
  const own = node === undefined ? undefined : nodes.get(node);
  if (own !== undefined) return [own];
  return all.filter((platform) => {
    const [platformOs, platformArchitecture] = platform.split("/");
    return (
      (os === undefined || os === platformOs) &&
      (architecture === undefined || architecture === platformArchitecture)
    );
  });
}

function aborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (signal.aborted) resolve();
  else signal.addEventListener("abort", () => resolve(), { once: true });
  return promise;
}
