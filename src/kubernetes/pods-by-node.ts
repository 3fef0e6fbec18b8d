import { imageName } from "../oci/image-reference.ts";
import type { Cluster } from "./cluster.ts";

/** How long changes are collected before all is read again, in milliseconds. */
const SETTLE_MS = 2000;
/** Of a node and an image: more say no more. */
const MAX_PODS = 10;
/** Of all nodes and images. */
const MAX_KNOWN = 100_000;

const POD = "Pod ";

/** Which pods of a node have an image, as far as the cluster is known. */
export class PodsByNode implements Disposable {
  readonly #cluster: Cluster;
  readonly #settle: number;
  readonly #closing = new AbortController();
  /** By the node's address and the image. */
  #known: ReadonlyMap<string, readonly string[]> = new Map();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(cluster: Cluster, { settle = SETTLE_MS }: { readonly settle?: number } = {}) {
    this.#cluster = cluster;
    this.#settle = settle;
    cluster.onChange(() => this.#readLater());
  }

  /**
   * @param address of the node
   * @param image as `docker.io/library/nginx:1.27`, or by digest
   * @returns namespaces and names: `shop/web-1`
   */
  of(address: string, image: string): readonly string[] {
    return this.#known.get(`${address} ${image}`) ?? [];
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#closing.abort();
  }

  #readLater(): void {
    if (this.#closing.signal.aborted) return;
    this.#timer ??= setTimeout(() => void this.#read(), this.#settle).unref();
  }

  async #read(): Promise<void> {
    const known = new Map<string, string[]>();
    try {
      for await (const { image, by, hosts = [] } of this.#cluster.images(this.#closing.signal)) {
        for (const host of hosts) {
          const key = `${host} ${imageName(image)}`;
          const pods = known.get(key) ?? [];
          if (pods.length >= MAX_PODS || known.size >= MAX_KNOWN) continue;
          known.set(key, [...pods, by.slice(POD.length)]);
        }
      }
      this.#known = known;
    } catch {
      // The cluster is away, which is told elsewhere. What was known stays, and the next change is read.
    } finally {
      this.#timer = undefined;
    }
  }
}
