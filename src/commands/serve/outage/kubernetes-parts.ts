import { join } from "node:path";
import type { Status } from "../../../api/status.ts";
import { ClusterKeeper } from "../../../cache/keeping/cluster-keeper.ts";
import { KeptFile } from "../../../cache/keeping/kept-file.ts";
import type { Storage } from "../../../cache/retention/storage.ts";
import type { KubernetesSettings } from "../../../config/kubernetes-api/kubernetes-settings.ts";
import type { Cluster } from "../../../kubernetes/cluster.ts";
import { PodsByNode } from "../../../kubernetes/pods-by-node.ts";
import { imageName } from "../../../oci/image-reference.ts";
import { printable } from "../../../printable.ts";
import type { WantedImages } from "../../../readiness/wanted.ts";
import type { LocalProblems } from "../../../telemetry/local-problems.ts";
import type { Log } from "../../../telemetry/log.ts";
import type { Metrics } from "../../../telemetry/metrics.ts";
import { ClusterImages } from "../../../readiness/cluster-images.ts";

const KEPT_HELP =
  "Images that are kept since the cluster runs them, or ran them lately (kubernetes.keep).";

export interface KubernetesPartsOptions {
  readonly storage: Pick<Storage, "path" | "pinned" | "budget">;
  readonly localProblems: LocalProblems;
  readonly metrics: Metrics;
  readonly log: Log;
}

/** The cluster that the cache reads, if one is configured, and what is made of it. */
export class KubernetesParts implements Disposable {
  readonly #options: KubernetesPartsOptions;
  #settings = "";
  #cluster: Cluster | undefined;
  #keeper: ClusterKeeper | undefined;
  readonly #stop = new AbortController();
  #address = "";
  /** Different images of the cluster, once it was read. */
  #images = 0;
  #isRead = false;
  #pods: PodsByNode | undefined;
  /** What the cluster runs, or would run. */
  readonly wanted: WantedImages = new ClusterImages(() => this.#cluster);

  constructor(options: KubernetesPartsOptions) {
    this.#options = options;
    options.metrics.gauge("entrepot_kept_images", KEPT_HELP, () => this.#keeper?.count ?? 0);
  }

  /** For `status`; `undefined` where no cluster is read. */
  get status(): Status["kubernetes"] {
    if (!this.#cluster) return undefined;
    const { isCurrent, problem } = this.#cluster.state;
    return {
      address: this.#address,
      isCurrent,
      isRead: this.#isRead,
      ...(problem === undefined ? {} : { problem }),
      images: this.#images,
      kept: this.#keeper?.count ?? 0,
    };
  }

  /** The pods of the node with this address that have this image, as far as they are known. */
  podsOf(address: string, image: string): readonly string[] {
    return this.#pods?.of(address, image) ?? [];
  }

  /** Reads this cluster from now on, instead of the one before. */
  configure(settings: KubernetesSettings | undefined): void {
    const text = JSON.stringify(settings) ?? "";
    if (text === this.#settings) return;
    this.#settings = text;
    this.#close();
    if (!settings) return;
    this.#keep(settings);
    void this.#load(settings, text);
  }

  [Symbol.dispose](): void {
    this.#stop.abort();
    this.#settings = "";
    this.#close();
  }

  /** At once: eviction must not come first. */
  #keep({ keep }: KubernetesSettings): void {
    const { storage, log } = this.#options;
    this.#keeper =
      keep &&
      new ClusterKeeper({
        cluster: () => this.#cluster,
        file: new KeptFile(join(storage.path, "kept-images.json")),
        days: keep.days,
        maxSize: () => storage.budget.limits.maxSize,
        keep: (kept) => storage.pinned.keep(kept),
        failed: (error) => log.warn({ reason: reasonOf(error) }, "what is kept was not recorded"),
      });
  }

  async #load(settings: KubernetesSettings, text: string): Promise<void> {
    // Its parts are in memory only where a cluster is read.
    const { WatchedCluster } = await import("../../../kubernetes/watched-cluster.ts");
    if (this.#settings !== text) return;
    const cluster = new WatchedCluster(settings);
    this.#pods = new PodsByNode(cluster);
    this.#open(cluster, settings);
  }

  #open(cluster: Cluster, { access }: KubernetesSettings): void {
    this.#cluster = cluster;
    this.#address = access.server.origin;
    this.#images = 0;
    this.#isRead = false;
    cluster.onChange(() => void this.#changed(cluster));
  }

  #close(): void {
    const { localProblems, storage } = this.#options;
    if (this.#keeper) storage.pinned.keep({ images: [], limit: 0 });
    this.#pods?.[Symbol.dispose]();
    this.#keeper?.[Symbol.dispose]();
    this.#cluster?.[Symbol.dispose]();
    this.#pods = undefined;
    this.#keeper = undefined;
    this.#cluster = undefined;
    localProblems.over("kubernetes");
    localProblems.over("kept-images");
  }

  async #changed(cluster: Cluster): Promise<void> {
    const { localProblems, storage, log } = this.#options;
    const { isCurrent, problem } = cluster.state;
    if (problem !== undefined) {
      const meaning = "what the cluster runs is known as it was, and all that is kept stays";
      localProblems.notice("kubernetes", `${problem}. Until it can be read: ${meaning}`, {
        stays: true,
      });
    } else if (isCurrent) localProblems.over("kubernetes");
    await this.#count(cluster);
    await this.#keeper?.update();
    if (!this.#keeper || this.#cluster !== cluster) return;
    try {
      const { unkept } = await storage.pinned.current();
      if (unkept === 0) localProblems.over("kept-images");
      else localProblems.notice("kept-images", unkeptText(unkept), { stays: true });
    } catch (error) {
      log.warn({ reason: reasonOf(error) }, "it is not known whether all has room that is kept");
    }
  }

  /** A cluster that was never read has none, and why is told. */
  async #count(cluster: Cluster): Promise<void> {
    const names = new Set<string>();
    try {
      for await (const { image } of cluster.images(this.#stop.signal)) names.add(imageName(image));
    } catch {
      return;
    }
    if (this.#cluster !== cluster) return;
    this.#images = names.size;
    this.#isRead = true;
  }
}

function unkeptText(count: number): string {
  const [images, have] = count === 1 ? ["image", "has"] : ["images", "have"];
  return `${count} ${images} of the cluster ${have} no room to be kept, since with the pins they would take more than 80 % of storage.maxSize: raise it, or keep for fewer days (kubernetes.keep)`;
}

function reasonOf(error: unknown): string {
  return printable(error instanceof Error ? error.message : String(error));
}
