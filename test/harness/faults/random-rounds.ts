import { expect } from "bun:test";
import { readdirSync } from "node:fs";
import { CacheModel, isWhole, type ModelImage, type ModelRequest } from "../cache/cache-model.ts";
import { command, commandOn } from "../cache/commands.ts";
import { DataPaths } from "../cache/data-paths.ts";
import { type Entrepot, localUpstream, startEntrepot } from "../cache/entrepot.ts";
import * as faults from "./faults.ts";
import { type Exchange, exchange } from "../registries/http-exchange.ts";
import { randomFaults } from "./random-faults.ts";
import { randomNumbers } from "../images/random-images.ts";
import { RandomLoad } from "./random-load.ts";
import type { ScriptedUpstream } from "../registries/scripted-upstream.ts";
import { wrongFigures } from "../cache/store-figures.ts";
import { movedAside, storedInodes, verifyStore } from "../cache/store-files.ts";
import { injectSystemFault } from "./system-faults.ts";
import { until } from "../waiting.ts";
import { evictedBlobs, present, problemsOf } from "../cache/wellness.ts";

const IMAGES = 40;
/** A second registry, which shares no image with the first one. */
const OTHER = "other.test";
const OTHER_IMAGES = 12;
const PINNED = 3;
/** How long after the last error all is well at the latest, in milliseconds. */
const WELL_WITHIN = 10_000;
/** In milliseconds. */
const TAG_TTL = 1000;
/** More than that many more open files than before a round are a leak. */
const MORE_FILES = 40;

/** How the process ends in a round, if it does. */
type End = "SIGTERM" | "SIGKILL" | undefined;

/** Rounds of random errors under load, and what was wrong in them. */
export class Rounds implements AsyncDisposable {
  readonly failures: string[] = [];
  readonly #random: () => number;
  readonly #model = new CacheModel();
  readonly #upstream: ScriptedUpstream;
  /** Goes down for whole rounds. */
  readonly #other: ScriptedUpstream;
  readonly #data: string;
  readonly #paths: DataPaths;
  readonly #pinned = new Set<string>();
  readonly #pinnedImages = new Set<ModelImage>();
  /** What was served without the upstream after the last round. */
  #servedAlone = new Set<string>();
  #cache: Entrepot | undefined;
  #upstreamSince = 0;
  #isOtherDown = false;
  #round = "";

  constructor(
    { upstream, other }: { readonly upstream: ScriptedUpstream; readonly other: ScriptedUpstream },
    data: string,
    seed: number,
  ) {
    this.#random = randomNumbers(seed);
    this.#upstream = upstream;
    this.#other = other;
    this.#data = data;
    this.#model.addImages(upstream, {
      count: IMAGES,
      smallest: 20_000,
      largest: 9_000_000,
      seed: 3,
    });
    this.#model.addMovingTags(upstream, 6);
    const others = { count: OTHER_IMAGES, smallest: 20_000, largest: 3_000_000, seed: 4 };
    this.#model.addImages(other, others, OTHER);
    this.#paths = new DataPaths(data, this.#model.digests, "reg.test", OTHER);
  }

  get #running(): Entrepot {
    if (!this.#cache) throw new Error("the cache is not started");
    return this.#cache;
  }

  async start(): Promise<void> {
    const config = {
      // Half of what there is, so that each round evicts.
      storage: { maxSize: "48MiB", minFree: 0, scrub: 0 },
      upstreams: {
        "reg.test": { ...localUpstream(this.#upstream.url), tagTtl: `${TAG_TTL}ms` },
        [OTHER]: { ...localUpstream(this.#other.url), tagTtl: `${TAG_TTL}ms` },
      },
    };
    this.#cache = await startEntrepot({ config, data: this.#data });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cache?.[Symbol.asyncDispose]();
  }

  /** Pins the smallest images: whatever is evicted, they stay. */
  async pin(): Promise<void> {
    const size = ({ image }: ModelImage): number =>
      image.blobs.reduce((sum, blob) => sum + blob.size, 0);
    const own = this.#model.images.filter(({ registry }) => registry !== OTHER);
    const smallest = own.toSorted((a, b) => size(a) - size(b)).slice(0, PINNED);
    for (const one of smallest) {
      for (const request of this.#model.all(one)) await this.#pull(request);
      const pin = await command(this.#running, "pin", `reg.test/${one.repository}:*`);
      expect(pin.code).toBe(0);
      for (const { digest } of this.#model.all(one)) this.#pinned.add(digest);
      this.#pinnedImages.add(one);
    }
  }

  async round(number: number): Promise<void> {
    const random = this.#random;
    const drawn = randomFaults(random, this.#paths);
    const chance = random();
    const end: End = chance < 0.08 ? "SIGTERM" : chance < 0.15 ? "SIGKILL" : undefined;
    this.#isOtherDown = random() < 0.25;
    const down = this.#isOtherDown ? `, ${OTHER} down` : "";
    this.#round = `round ${number}: ${drawn.text}${down}${end ? `, ${end}` : ""}`;
    const before = await storedInodes(this.#data);
    const evictedBefore = end ? 0 : await evictedBlobs(this.#running);
    const filesBefore = this.#openFiles();
    const { pid } = this.#running;

    let isCut = drawn.isNetwork || drawn.isOfBlobs;
    this.#upstream.respond(() => (random() < 0.2 ? faults.slow(2_000_000) : undefined));
    const load = new RandomLoad(this.#running, {
      model: this.#model,
      random,
      isCut: () => isCut,
      // For as long as tags are valid, it is remembered that the upstream was down.
      mayBlame: (registry) =>
        drawn.isNetwork ||
        (registry === OTHER && this.#isOtherDown) ||
        performance.now() < this.#upstreamSince + TAG_TTL,
      purgeable: this.#model.images.filter((one) => !this.#pinnedImages.has(one)),
    });
    if (this.#isOtherDown) await this.#other.stop();
    // The moment at which it begins is random, as is its length: neither waits for a condition.
    await Bun.sleep(random() * 300);
    let moved: ModelRequest;
    {
      await using _ = await injectSystemFault(pid, ...drawn.faults);
      await Bun.sleep(500 + random() * 1000);
      moved = this.#model.moveTag(random);
      await Bun.sleep(500 + random() * 1000);
      if (end) {
        isCut = true;
        await this.#end(end);
      }
    }
    const isDead = !end && this.#running.exitCode !== undefined;
    if (isDead) this.#failed(`the process died:\n${this.#running.output().slice(-3000)}`);
    if (end || isDead) {
      await load.stop();
      await this.#running[Symbol.asyncDispose]();
      await this.start();
    }
    if (this.#isOtherDown) {
      await this.#other.start();
      this.#upstreamSince = performance.now();
      this.#isOtherDown = false;
    }
    const wellAfter = await this.#untilWell(moved);
    isCut = false;
    await load.stop();
    // They are served without their upstream only once they were pulled again.
    for (const one of load.purged) {
      for (const { path } of this.#model.all(one)) this.#servedAlone.delete(path);
    }
    for (const [violation, count] of load.violations) this.#failed(`${count} × ${violation}`);
    await this.#untilTrue(end || isDead ? Infinity : filesBefore + MORE_FILES);
    if (!end && this.#running.pid !== pid) this.#failed("another process serves");
    const alone = await this.#findLost(before, evictedBefore, end !== undefined);
    const counts = [...load.counts].map(([what, count]) => `${count} × ${what}`);
    console.log(`${this.#round}: ${counts.join(", ")}; well after ${wellAfter}; ${alone} alone`);
  }

  /** Nothing is left that does not belong there. */
  async finish(): Promise<void> {
    expect(await this.#running.stop()).toBe(0);
    const fsck = await commandOn(this.#data, this.#running.configFile, "fsck");
    expect(`${fsck.code} ${fsck.stdout}`).toContain("All blobs match their digests.\n");
    expect(fsck.code).toBe(0);
    await verifyStore(this.#data);
  }

  async #end(end: NonNullable<End>): Promise<void> {
    const from = performance.now();
    const code = await this.#running.stop(end);
    const took = `${((performance.now() - from) / 1000).toFixed(1)} s`;
    if (end === "SIGTERM" && code !== 0) {
      this.#failed(`exit code ${code} after ${took}:\n${this.#running.output().slice(-3000)}`);
    }
  }

  /** Hits, misses and storing work, and nothing is said to be wrong. Returns the seconds that it took. */
  async #untilWell(moved: ModelRequest): Promise<string> {
    const from = performance.now();
    const fresh = this.#model.addFreshBlob(this.#upstream);
    const tagged = this.#model.images[Math.floor(this.#random() * IMAGES)];
    if (!tagged) throw new Error("unreachable");
    await Promise.all([
      this.#within("a tag", () => this.#pull(this.#model.tag(tagged))),
      this.#within("a tag that has moved", () => this.#pull(moved)),
      this.#within("no problems", async () => {
        const problems = present(await problemsOf(this.#running));
        if (problems.length > 0) throw new Error(problems.join("; "));
      }),
      this.#within("a blob to be stored", async () => {
        await this.#pull(fresh);
        const again = await this.#pull(fresh);
        const cacheStatus = again.headers.get("cache-status") ?? "";
        if (!cacheStatus.includes("; hit")) throw new Error(cacheStatus);
      }),
    ]);
    return `${((performance.now() - from) / 1000).toFixed(1)} s`;
  }

  /** What the status says is what is on the disk, and files that nobody needs are closed. */
  async #untilTrue(mostFiles: number): Promise<void> {
    await this.#within("true figures", async () => {
      const wrong = await wrongFigures(this.#running);
      if (wrong.length > 0) throw new Error(wrong.join("; "));
    });
    await this.#within("files to be closed", async () => {
      const open = this.#openFiles();
      if (open > mostFiles) throw new Error(`${open} are open`);
    });
  }

  /**
   * With the upstream down, everything is served that is stored, and was served so after the round before.
   * What is not stored any more was evicted. Returns how much is served.
   */
  async #findLost(
    before: ReadonlyMap<string, number>,
    evictedBefore: number,
    isRestarted: boolean,
  ): Promise<number> {
    const stored = await storedInodes(this.#data);
    const gone = [...before.keys()].filter((digest) => !stored.has(digest)).length;
    const evicted = (await evictedBlobs(this.#running)) - evictedBefore;
    // A killed process has taken its count with it.
    if (gone > evicted && !isRestarted) this.#failed(`${gone} are gone, ${evicted} were evicted`);
    const lostPins = [...this.#pinned].filter((digest) => !stored.has(digest));
    if (lostPins.length > 0) this.#failed(`lost, although pinned: ${lostPins.join(" ")}`);
    const aside = await movedAside(this.#data);
    if (aside.length > 0) this.#failed(`moved aside: ${aside.join(" ")}`);

    await Promise.all([this.#upstream.stop(), this.#other.stop()]);
    const requests = this.#model.images
      .flatMap((one) => this.#model.all(one))
      .filter(({ digest }) => stored.has(digest));
    const served = new Set<string>();
    const notServed: ModelRequest[] = [];
    for (const request of requests) {
      const response = await exchange(this.#running.address, request.path, request);
      const mistake = this.#model.wrong(request, response);
      if (mistake !== undefined) this.#failed(`with the upstream down: ${mistake}`);
      if (isWhole(response)) served.add(request.path);
      else notServed.push(request);
      if (isWhole(response) || !this.#servedAlone.has(request.path)) continue;
      // It may have been evicted, and stored again for another repository.
      const inode = (await storedInodes(this.#data)).get(request.digest);
      if (inode !== undefined && inode === before.get(request.digest)) {
        const text = response.body.toString("utf8").slice(0, 200);
        this.#failed(`not served any more: ${request.path}: ${response.status} ${text}`);
      }
    }
    this.#servedAlone = served;
    await Promise.all([this.#upstream.start(), this.#other.start()]);
    this.#upstreamSince = performance.now();
    for (const request of [this.#model.addFreshBlob(this.#upstream), ...notServed]) {
      await this.#within("the upstream to be asked again", () => this.#pull(request));
    }
    return served.size;
  }

  async #within(what: string, attempt: () => Promise<unknown>): Promise<void> {
    const done = async (): Promise<true> => {
      await attempt();
      return true;
    };
    await until(done, { what, within: WELL_WITHIN }).catch((error: unknown) =>
      this.#failed(String(error)),
    );
  }

  async #pull(request: ModelRequest): Promise<Exchange> {
    return this.#model.pull(this.#running.address, request);
  }

  #openFiles(): number {
    return readdirSync(`/proc/${this.#running.pid}/fd`).length;
  }

  #failed(text: string): void {
    console.log(`${this.#round}: ${text}`);
    this.failures.push(`${this.#round}: ${text}`);
  }
}
