import { writeFile } from "node:fs/promises";
import type { Certificate } from "../test/harness/services/certificates.ts";
import { freePort } from "../test/harness/free-port.ts";
import type { TempDir } from "../test/harness/temp-dir.ts";
import { loadAverage } from "./kernel.ts";
import type { LinkShape } from "./link.ts";
import type { Measurement } from "./results.ts";
import type { StartOptions } from "./start-options.ts";
import { type Running, start, type SystemName } from "./systems.ts";
import type { Upstream } from "./upstream.ts";

/** The network link to a distant registry: 50 ms round trip, 100 MB/s. */
export const FAR = {
  roundTripMs: 50,
  megabytesPerSecond: 100,
  slowStart: true,
} satisfies LinkShape;

/** The same link to a registry that limits each connection, in MB/s. */
export function limited(connectionMegabytesPerSecond: number): LinkShape {
  return { ...FAR, connectionMegabytesPerSecond };
}

export interface RunOptions {
  readonly upstream: Upstream;
  readonly dir: TempDir;
  readonly quick: boolean;
}

/** One run of the benchmark: what the workloads share, and their measurements. */
export class Run {
  readonly upstream: Upstream;
  readonly dir: TempDir;
  readonly quick: boolean;
  readonly measurements: Measurement[] = [];
  readonly #startedAt = performance.now();
  #emptyStarts = 0;

  constructor({ upstream, dir, quick }: RunOptions) {
    this.upstream = upstream;
    this.dir = dir;
    this.quick = quick;
  }

  get rounds(): number {
    return this.quick ? 1 : 3;
  }

  get seconds(): number {
    return (performance.now() - this.#startedAt) / 1000;
  }

  /** Prints progress to standard error; the results go to standard output. */
  step(text: string): void {
    const elapsed = this.seconds.toFixed(0).padStart(4);
    process.stderr.write(`${elapsed} s  ${text}  (load ${loadAverage()})\n`);
  }

  add(workload: string, system: string, figures: Readonly<Record<string, number>>): void {
    for (const [figure, value] of Object.entries(figures)) {
      this.measurements.push({ workload, figure, system, value });
    }
  }

  /** Starts a system whose storage is kept from one round to the next. */
  start(name: SystemName, upstream: string, tls?: Certificate): Promise<Running> {
    return this.#start(name, upstream, { data: this.dir.file(name), tls });
  }

  /** Starts a system with empty storage. */
  startEmpty(name: SystemName, upstream: string): Promise<Running> {
    this.#emptyStarts += 1;
    return this.#start(name, upstream, { data: this.dir.file(`${name}-${this.#emptyStarts}`) });
  }

  /** Starts Entrepot with a given data directory and `storage.maxSize` (in bytes). */
  startLimited(upstream: string, storage: { data: string; maxSize: number }): Promise<Running> {
    return this.#start("entrepot", upstream, storage);
  }

  /** Starts Entrepot several times with empty storage: as one cluster, or as caches that do not know each other. */
  async startReplicas(
    upstream: string,
    kind: "cluster" | "independent",
    count: number,
  ): Promise<readonly Running[]> {
    const addresses = Array.from({ length: count }, () => `127.0.0.1:${freePort()}`);
    const members = addresses.map((address) => `http://${address}`);
    const secretFile = this.dir.file("cluster-secret");
    await writeFile(secretFile, "the secret of the benchmark");
    const replicas = addresses.map((listen) => {
      this.#emptyStarts += 1;
      const data = this.dir.file(`${kind}-${this.#emptyStarts}`);
      const cluster = { listen, advertise: `http://${listen}`, secretFile, members };
      return this.#start("entrepot", upstream, kind === "cluster" ? { data, cluster } : { data });
    });
    return Promise.all(replicas);
  }

  async #start(
    name: SystemName,
    upstream: string,
    storage: Pick<StartOptions, "data" | "maxSize" | "tls" | "cluster">,
  ): Promise<Running> {
    const blobs = await this.upstream.blobs();
    return start(name, { upstream, ...storage, scratch: this.dir, blobs });
  }
}
