import type { Certificate } from "../test/harness/certificates.ts";
import type { TempDir } from "../test/harness/places.ts";
import { loadAverage } from "./kernel.ts";
import type { Measurement } from "./results.ts";
import { type Running, start, type SystemName } from "./systems.ts";
import type { Shape, Upstream } from "./upstream.ts";

/** A registry on the other side of a line: 50 ms there and back, 100 MB/s. */
export const FAR: Shape = { roundTrip: 50, rate: 100 };

export interface RunOptions {
  readonly upstream: Upstream;
  readonly dir: TempDir;
  readonly quick: boolean;
}

/** A run of the whole bench: what the workloads share, and what they have found. */
export class Run {
  readonly upstream: Upstream;
  readonly dir: TempDir;
  readonly quick: boolean;
  readonly measurements: Measurement[] = [];
  readonly #started = performance.now();
  #fresh = 0;

  constructor({ upstream, dir, quick }: RunOptions) {
    this.upstream = upstream;
    this.dir = dir;
    this.quick = quick;
  }

  get rounds(): number {
    return this.quick ? 1 : 3;
  }

  get seconds(): number {
    return (performance.now() - this.#started) / 1000;
  }

  /** Shows what is being done, on standard error: results go to standard output. */
  step(text: string): void {
    const elapsed = this.seconds.toFixed(0).padStart(4);
    process.stderr.write(`${elapsed} s  ${text}  (load ${loadAverage()})\n`);
  }

  add(workload: string, system: string, figures: Readonly<Record<string, number>>): void {
    for (const [figure, value] of Object.entries(figures)) {
      this.measurements.push({ workload, figure, system, value });
    }
  }

  /** A system that keeps its content from one round to the next. */
  start(name: SystemName, upstream: string, tls?: Certificate): Promise<Running> {
    return this.#start(name, upstream, this.dir.file(name), tls);
  }

  /** A system that has nothing yet. */
  startEmpty(name: SystemName, upstream: string): Promise<Running> {
    this.#fresh += 1;
    return this.#start(name, upstream, this.dir.file(`${name}-${this.#fresh}`));
  }

  /** Entrepot with content of its own, in as much as it may keep. */
  startBound(upstream: string, place: { data: string; maxSize: number }): Promise<Running> {
    const { stock } = this.upstream;
    return start("entrepot", { upstream, ...place, scratch: this.dir, stock });
  }

  #start(name: SystemName, upstream: string, data: string, tls?: Certificate): Promise<Running> {
    const { stock } = this.upstream;
    return start(name, { upstream, data, scratch: this.dir, stock, tls });
  }
}
