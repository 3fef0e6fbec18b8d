import { cp, readFile } from "node:fs/promises";
import { CacheModel, type ModelRequest } from "../cache/cache-model.ts";
import type { Content } from "../images/content.ts";
import { DataPaths, type Place } from "../cache/data-paths.ts";
import { type Entrepot, localUpstream, startEntrepot } from "../cache/entrepot.ts";
import * as faults from "./faults.ts";
import { exchange } from "../registries/http-exchange.ts";
import type { Image } from "../images/images.ts";
import { type ScriptedUpstream, startScriptedUpstream } from "../registries/scripted-upstream.ts";
import { storedInodes } from "../cache/store-files.ts";
import { injectSystemFault, type SystemFault } from "./system-faults.ts";
import { type TempDir, tempDir } from "../temp-dir.ts";
import { until } from "../waiting.ts";
import { evictedBlobs, present, problemsOf } from "../cache/wellness.ts";

/** When a fault begins: before the first step of the process, or while it does something. */
export const PHASES = ["start", "fill", "eviction", "end"] as const;
export type Phase = (typeof PHASES)[number];

/** A fault of the disk that ends again. */
export interface DiskFault {
  readonly at: Place;
  readonly fault: Omit<SystemFault, "paths">;
}

/** What came of a fault. */
export interface Outcome {
  /** How often clients got which status, and how its body ended if not completely. */
  readonly clients: Map<string, number>;
  /** Responses that no fault excuses. */
  readonly wrong: Set<string>;
  /** What was stored before and is neither served without the upstream nor was evicted. */
  readonly lost: string[];
  /** What `status`, `/readyz` and the log said meanwhile; or the last words of a start that failed. */
  readonly said: Set<string>;
  /** The exit code and the seconds of the end of the process: of a start that failed, or of SIGTERM. */
  exit: { readonly code: number; readonly seconds: number } | undefined;
  /** Seconds from the end of the fault until all was well; or what was not well after ten. */
  well: number | string;
}

const WELL_WITHIN = 10_000;
/** Bytes of a blob after which the upstream stalls until the fault has begun. */
const STALL = 150_000;
const STOPPING =
  "stopping: waiting for requests and downloads in progress; a second signal stops at once";

/** Injects faults into caches of which each begins with the same stored images. */
export class FaultPhases implements AsyncDisposable {
  readonly #dir: TempDir;
  readonly #upstream: ScriptedUpstream;
  readonly #model = new CacheModel();
  readonly #warm: readonly Image[];
  readonly #cold: readonly Image[];
  #count = 0;

  private constructor(dir: TempDir, upstream: ScriptedUpstream) {
    this.#dir = dir;
    this.#upstream = upstream;
    const options = { count: 24, smallest: 200_000, largest: 3_000_000, seed: 9 };
    const images = this.#model.addImages(upstream, options);
    this.#warm = images.slice(0, 8);
    this.#cold = images.slice(8);
  }

  static async open(): Promise<FaultPhases> {
    const phases = new FaultPhases(await tempDir("phases"), await startScriptedUpstream());
    await using cache = await phases.#start(phases.#dir.file("warm"), "fill");
    for (const request of phases.#requests(phases.#warm)) {
      await phases.#model.pull(cache.address, request);
    }
    await cache.stop();
    return phases;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#upstream.stop();
    await this.#dir[Symbol.asyncDispose]();
  }

  async observe({ at, fault }: DiskFault, phase: Phase): Promise<Outcome> {
    const outcome: Outcome = {
      clients: new Map(),
      wrong: new Set(),
      lost: [],
      said: new Set(),
      exit: undefined,
      well: "",
    };
    const data = this.#dir.file(`data${(this.#count += 1)}`);
    await cp(this.#dir.file("warm"), data, { recursive: true });
    const before = await storedInodes(data);
    const paths = new DataPaths(data, this.#model.digests, "reg.test").of(at);
    this.#upstream.respond();
    this.#upstream.forget();
    const injected = { ...fault, paths };
    const { cache, endedAt } =
      phase === "start"
        ? await this.#duringStart(data, phase, injected, outcome)
        : await this.#whileRunning(data, phase, injected, outcome);
    await using running = cache;
    outcome.well = await this.#untilWell(running, endedAt);
    for (const line of running.logs()) {
      const isRequest = line["msg"] === "request";
      if (isRequest && line["err"] !== undefined) outcome.wrong.add(JSON.stringify(line));
      if (!isRequest && line["level"] !== "info") {
        outcome.said.add(`log: ${JSON.stringify([line["msg"], line["error"]])}`);
      }
    }
    await this.#findLost(running, before, outcome);
    return outcome;
  }

  async #duringStart(
    data: string,
    phase: Phase,
    fault: SystemFault,
    outcome: Outcome,
  ): Promise<Faulty> {
    const { pid, started } = this.#startPaused(data);
    let cache: Entrepot | Error;
    {
      await using _ = await injectSystemFault(await pid, fault);
      const from = performance.now();
      process.kill(await pid, "SIGCONT");
      cache = await started;
      if (cache instanceof Error) {
        const code = Number(/ended with (\d+)/.exec(cache.message)?.[1]);
        outcome.exit = { code, seconds: secondsSince(from) };
        outcome.said.add(cache.message);
      } else {
        const { address } = cache;
        const requests = this.#requests([...this.#warm.slice(0, 3), ...this.#cold.slice(0, 2)]);
        await Promise.all(requests.map((request) => this.#take(address, request, outcome)));
        await note(cache, outcome);
      }
    }
    const endedAt = performance.now();
    return { cache: cache instanceof Error ? await this.#start(data, phase) : cache, endedAt };
  }

  async #whileRunning(
    data: string,
    phase: Phase,
    fault: SystemFault,
    outcome: Outcome,
  ): Promise<Faulty> {
    const upstream = this.#upstream;
    let cache = await this.#start(data, phase);
    const { address } = cache;
    const pull = (requests: readonly ModelRequest[]): Promise<void>[] =>
      requests.map((request) => this.#take(address, request, outcome));
    const pulls: Promise<void>[] = [];
    if (phase !== "eviction") {
      upstream.respond(({ kind }) => (kind === "blob" ? faults.stallAfter(STALL) : undefined));
      const cold = this.#cold.slice(0, 3);
      pulls.push(...pull(this.#requests(cold)));
      const stored = await storedInodes(data);
      const missing = cold
        .flatMap(({ blobs }) => blobs)
        .filter(({ digest, size }) => size > STALL && !stored.has(digest));
      const hasStalled = ({ digest }: Content): boolean =>
        upstream.requests({ reference: digest }).some(({ sent }) => sent === STALL);
      await until(() => missing.every(hasStalled), { what: "the upstream to stall" });
    }
    {
      await using _ = await injectSystemFault(cache.pid, fault);
      upstream.respond();
      if (phase === "end") {
        const from = performance.now();
        const stopping = cache.stop();
        await cache.logged(STOPPING);
        upstream.release();
        outcome.exit = { code: await stopping, seconds: secondsSince(from) };
      } else {
        upstream.release();
        pulls.push(...pull(this.#requests(this.#warm.slice(0, 4))));
        if (phase === "eviction") pulls.push(...pull(this.#requests(this.#cold)));
      }
      await Promise.all(pulls);
      if (phase !== "end") await note(cache, outcome);
    }
    const endedAt = performance.now();
    if (phase === "end") {
      await cache[Symbol.asyncDispose]();
      cache = await this.#start(data, phase);
    }
    return { cache, endedAt };
  }

  #start(data: string, phase: Phase, program?: readonly string[]): Promise<Entrepot> {
    const maxSize = phase === "eviction" ? "20MiB" : "48MiB";
    const config = {
      storage: { maxSize, minFree: 0, scrub: 0 },
      upstreams: { "reg.test": { ...localUpstream(this.#upstream.url), tagTtl: "1s" } },
    };
    return startEntrepot({ config, data, ...(program ? { program } : {}) });
  }

  /** Starts a cache that stops itself before its first step, until SIGCONT. */
  #startPaused(data: string): Paused {
    const file = `${data}.pid`;
    const script = `echo $$ > '${file}' && kill -STOP $$ && exec "$@"`;
    const program = ["sh", "-c", script, "sh", PROGRAM];
    const started = this.#start(data, "start", program).catch((error: unknown) =>
      error instanceof Error ? error : new Error(String(error)),
    );
    const stopped = async (): Promise<number | undefined> => {
      const pid = Number(await readFile(file, "utf8"));
      return / T /.test(await readFile(`/proc/${pid}/stat`, "utf8")) ? pid : undefined;
    };
    return { pid: until(stopped, { what: "the program to pause" }), started };
  }

  async #take(address: string, request: ModelRequest, { clients, wrong }: Outcome): Promise<void> {
    const response = await exchange(address, request.path, request);
    const { end, status } = response;
    const key = end === "complete" ? String(status) : `${status} ${end}`;
    clients.set(key, (clients.get(key) ?? 0) + 1);
    const mistake = this.#model.wrong(request, response);
    if (mistake !== undefined) wrong.add(`${request.kind}: ${mistake}`);
  }

  /** Hits, misses and storing work, and neither `status` nor `/readyz` knows of a problem. */
  async #untilWell(cache: Entrepot, endedAt: number): Promise<number | string> {
    const fresh = this.#model.addFreshBlob(this.#upstream);
    const isWell = async (): Promise<true> => {
      const problems = present(await problemsOf(cache));
      if (problems.length > 0) throw new Error(problems.join("; "));
      for (const request of [...this.#requests(this.#warm.slice(0, 1)), fresh]) {
        await this.#model.pull(cache.address, request);
      }
      const again = await this.#model.pull(cache.address, fresh);
      const cacheStatus = again.headers.get("cache-status") ?? "";
      if (!cacheStatus.includes("; hit")) throw new Error(`not stored: ${cacheStatus}`);
      return true;
    };
    try {
      await until(isWell, { what: "all to be well", within: WELL_WITHIN });
      return secondsSince(endedAt);
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  async #findLost(
    cache: Entrepot,
    before: ReadonlyMap<string, number>,
    { lost }: Outcome,
  ): Promise<void> {
    const stored = await storedInodes(cache.data);
    const gone = [...before.keys()].filter((digest) => !stored.has(digest)).length;
    const evicted = await evictedBlobs(cache);
    if (gone > evicted) lost.push(`${gone} blobs are gone, and ${evicted} were evicted`);
    const { address } = cache;
    await this.#upstream.stop();
    for (const request of this.#requests(this.#warm)) {
      if (!stored.has(request.digest)) continue;
      await this.#model.pull(address, request).catch((error: unknown) => lost.push(String(error)));
    }
    await this.#upstream.start();
  }

  #requests(images: readonly Image[]): ModelRequest[] {
    return this.#model.images
      .filter(({ image }) => images.includes(image))
      .flatMap((one) => this.#model.all(one));
  }
}

const PROGRAM = new URL("../../../bin/entrepot", import.meta.url).pathname;

/** A cache after a fault, and when that ended. */
interface Faulty {
  readonly cache: Entrepot;
  readonly endedAt: number;
}

interface Paused {
  readonly pid: Promise<number>;
  readonly started: Promise<Entrepot | Error>;
}

async function note(cache: Entrepot, { said }: Outcome): Promise<void> {
  for (const problem of await problemsOf(cache)) said.add(problem);
}

function secondsSince(from: number): number {
  return (performance.now() - from) / 1000;
}
