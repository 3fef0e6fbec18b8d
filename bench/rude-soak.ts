// Tests whether memory stays bounded under mixed traffic with upstreams that stall, break off and lie, and
// whether every body is right: `npm run soak:rude -- --minutes 25`
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { digestOf } from "../src/oci/digest.ts";
import { OCI_MANIFEST } from "../src/oci/media-types.ts";
import {
  bytesOf,
  type Content,
  contentOf,
  descriptor,
  randomContent,
} from "../test/harness/content.ts";
import { type Entrepot, localUpstream, startEntrepot } from "../test/harness/entrepot.ts";
import * as faults from "../test/harness/faults.ts";
import type { Image } from "../test/harness/images.ts";
import { run } from "../test/harness/processes.ts";
import { randomImages, randomNumbers, zipf } from "../test/harness/random-images.ts";
import { type ScriptedUpstream, startScriptedUpstream } from "../test/harness/scripted-upstream.ts";

const MIB = 1024 * 1024;
const MAX_PEAK = 150e6;
const WORKERS = 12;
/** Of the upstream's responses. */
const RUDE_SHARE = 0.08;
/** The upstream ends its stalls so often, in milliseconds. */
const STALL_MS = 5000;
const TAGS = 20_000;

const random = randomNumbers(17);

function oneOf<T>(choices: readonly T[]): T {
  const choice = choices[Math.floor(random() * choices.length)];
  if (choice === undefined) throw new Error("there is nothing to choose from");
  return choice;
}

/** What is wrong with a response of the upstream. */
function rudeness(): faults.Fault {
  const at = Math.floor(random() ** 3 * 4 * MIB);
  return oneOf<() => faults.Fault>([
    () => faults.stallAfter(at),
    () => faults.cutAfter(at, "close"),
    () => faults.cutAfter(at, "reset"),
    () => ({ hangUp: oneOf(["close", "reset"]) }),
    () => ({ flipBitAt: Math.floor(random() * 2000) }),
    () => ({ shortenBy: 1 + Math.floor(random() * 400) }),
    () => faults.slow(100_000),
    () => ({ ...faults.noRanges, framing: "chunked" }),
    () => ({ framing: "close" }),
    () => faults.htmlPage,
    () => faults.claims({ digest: `sha256:${"0".repeat(64)}` }),
    () => faults.errorResponse(oneOf([404, 500, 503])),
    () => faults.tooManyRequests("1"),
  ])();
}

/** What clients received. */
interface Tally {
  requests: number;
  /** Complete responses whose bytes are not what was requested. */
  wrong: number;
  /** Responses that ended before their last byte, as a client notices. */
  brokenOff: number;
  readonly statuses: Map<number, number>;
  bytes: number;
}

class Clients {
  readonly tally: Tally = { requests: 0, wrong: 0, brokenOff: 0, statuses: new Map(), bytes: 0 };
  readonly #cache: Entrepot;
  readonly #images: readonly Image[];
  readonly #large: readonly { readonly content: Content; readonly bytes: Uint8Array }[];
  readonly #next: () => number;

  constructor(cache: Entrepot, images: readonly Image[], large: readonly Content[]) {
    this.#cache = cache;
    this.#images = images;
    this.#large = large.map((content) => ({ content, bytes: bytesOf(content) }));
    this.#next = zipf(images.length, 0.8, random);
  }

  async actOnce(): Promise<void> {
    const [number, kind] = [this.#next(), random()];
    const image = this.#images[number];
    const { content, bytes } = oneOf(this.#large);
    const large = `large/blobs/${content.digest}`;
    if (kind < 0.6 && image) await this.#pull(number, image);
    else if (kind < 0.7) await this.#ranges(large, bytes);
    else if (kind < 0.73) await this.#read(large, { digest: content.digest, pause: 5 });
    else if (kind < 0.76) await this.#read(large, { leaveAfter: random() * content.size });
    else if (kind < 0.8) await this.#read(`none${Math.floor(random() * 1e6)}/manifests/1`, {});
    else if (kind < 0.84) await this.#read("tags/tags/list?n=20000", {});
    else if (kind < 0.86) await this.#read("_catalog", {});
    else if (kind < 0.9) await this.#read("large/manifests/1", {});
    else if (kind < 0.95 && image) {
      await this.#read(`app${number}/manifests/1`, { method: "HEAD" });
      await this.#read(`app${number}/blobs/${image.blobs[0]?.digest}`, { method: "HEAD" });
    } else
      await this.#admin(oneOf(["/metrics", "/api/v1/status", "/api/v1/images", "/api/v1/pins"]));
  }

  async #pull(number: number, { manifest, blobs }: Image): Promise<void> {
    await this.#read(`app${number}/manifests/1`, { digest: manifest.digest });
    await Promise.all(
      blobs.map(({ digest }) => this.#read(`app${number}/blobs/${digest}`, { digest })),
    );
  }

  async #ranges(path: string, bytes: Uint8Array): Promise<void> {
    await Promise.all(
      Array.from({ length: 4 }, async () => {
        const first = Math.floor(random() * bytes.length);
        const last = Math.min(bytes.length - 1, first + Math.floor(random() * 2 * MIB));
        const expected = digestOf(bytes.subarray(first, last + 1));
        await this.#read(path, { digest: expected, range: `bytes=${first}-${last}` });
      }),
    );
  }

  /** Sends a request and compares what it receives. A slow reader pauses after each chunk, in milliseconds. */
  async #read(
    path: string,
    options: {
      readonly digest?: string;
      readonly method?: string;
      readonly range?: string;
      readonly pause?: number;
      readonly leaveAfter?: number;
    },
  ): Promise<void> {
    const { digest, method = "GET", range, pause = 0, leaveAfter = Infinity } = options;
    const headers = range === undefined ? {} : { range };
    const url = `/v2/${path}${path.includes("?") ? "&" : "?"}ns=reg.test`;
    this.tally.requests += 1;
    const abort = new AbortController();
    try {
      const response = await this.#cache.get(url, { method, headers, signal: abort.signal });
      const { status } = response;
      this.tally.statuses.set(status, (this.tally.statuses.get(status) ?? 0) + 1);
      const hasher = new Bun.CryptoHasher("sha256");
      let length = 0;
      for await (const chunk of response.body ?? []) {
        hasher.update(chunk);
        length += chunk.byteLength;
        if (length > leaveAfter) return abort.abort();
        if (pause > 0) await Bun.sleep(pause);
      }
      this.tally.bytes += length;
      const isWhole = status === 206 || (status === 200 && range === undefined);
      if (isWhole && digest !== undefined && `sha256:${hasher.digest("hex")}` !== digest) {
        this.tally.wrong += 1;
        console.error(`wrong body: ${method} ${url} ${range ?? ""}: ${length} bytes`);
      }
    } catch {
      if (!abort.signal.aborted) this.tally.brokenOff += 1;
    }
  }

  async #admin(path: string): Promise<void> {
    this.tally.requests += 1;
    const response = await this.#cache.getAdmin(path);
    await response.bytes();
  }
}

function addContent(upstream: ScriptedUpstream): { images: Image[]; large: Content[] } {
  const images = randomImages({ count: 200, smallest: 10_000, largest: 8_000_000, seed: 5 });
  images.forEach((image, number) => upstream.add(`app${number}`, image, "1"));
  const large = [1, 2, 3].map((seed) => randomContent(40 * MIB, seed));
  for (const blob of large) upstream.addBlob("large", blob);
  const manifest = contentOf(
    {
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      config: descriptor(contentOf("{}", "application/vnd.oci.image.config.v1+json")),
      layers: [],
      annotations: { padding: "x".repeat(3 * MIB) },
    },
    OCI_MANIFEST,
  );
  upstream.add("large", { manifest, blobs: [], children: [] }, "1");
  const [first] = images;
  if (first) upstream.add("tags", first, ...Array.from({ length: TAGS }, (_, tag) => `v${tag}`));
  return { images, large };
}

/** Returns whether every body was right, and the memory stayed below its limit. */
async function soak(
  minutes: number,
  maxRequests: number,
  program: readonly string[] | undefined,
): Promise<boolean> {
  // As users run it: from its sources, the program takes some 10 MB more.
  if (!program)
    await run(["node", fileURLToPath(new URL("../scripts/bundle.mjs", import.meta.url))]);
  await using upstream = await startScriptedUpstream();
  const { images, large } = addContent(upstream);
  upstream.respond(() => (random() < RUDE_SHARE ? rudeness() : undefined));
  await using cache = await startEntrepot({
    ...(program ? { program } : {}),
    config: {
      storage: { maxSize: "200MiB", minFree: 0, scrub: "2MiB" },
      upstreams: { "reg.test": { ...localUpstream(upstream.url), tagTtl: "2s" } },
    },
  });
  const clients = new Clients(cache, images, large);
  const { tally } = clients;
  const startedAt = performance.now();
  const isOver = (): boolean =>
    performance.now() - startedAt > minutes * 60_000 ||
    tally.requests >= maxRequests ||
    cache.exitCode !== undefined;
  const report = (): void => {
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(0);
    const memory = [cache.residentMemory(), cache.peakMemory()].map((n) => (n / 1e6).toFixed(0));
    const { requests, wrong, brokenOff, bytes, statuses } = tally;
    const counts = [...statuses]
      .toSorted(([one], [other]) => one - other)
      .map(([status, count]) => `${status}: ${count}`);
    console.log(
      `${seconds} s: ${requests} requests, ${(bytes / 1e9).toFixed(2)} GB, ${wrong} wrong, ${brokenOff} broken off (${counts.join(", ")}); memory ${memory[0]} MB, peak ${memory[1]} MB`,
    );
  };
  const stalls = setInterval(() => {
    upstream.release();
    // It remembers each request.
    upstream.forget();
  }, STALL_MS);
  const reports = setInterval(report, 30_000);
  const work = async (): Promise<void> => {
    while (!isOver()) {
      await clients.actOnce();
      await Bun.sleep(20 + random() * 100);
    }
  };
  await Promise.all(Array.from({ length: WORKERS }, work));
  clearInterval(stalls);
  clearInterval(reports);
  if (cache.exitCode !== undefined) {
    console.log(`the cache ended with ${cache.exitCode}:\n${cache.output()}`);
    return false;
  }
  report();
  const isSmall = cache.peakMemory() <= MAX_PEAK;
  if (!isSmall) console.log(`its peak is above ${MAX_PEAK / 1e6} MB`);
  return tally.wrong === 0 && isSmall;
}

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "25" },
    requests: { type: "string", default: "Infinity" },
    program: { type: "string" },
  },
});
const minutes = Number(values.minutes);
if (!Number.isFinite(minutes) || minutes <= 0) {
  console.error(`--minutes ${values.minutes} is not valid: pass a number of minutes above 0`);
  process.exit(2);
}
process.exitCode = (await soak(minutes, Number(values.requests), values.program?.split(" ")))
  ? 0
  : 1;
