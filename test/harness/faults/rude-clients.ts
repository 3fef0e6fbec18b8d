import { verifiedSchema } from "../../../src/api/upkeep.ts";
import { jobOf, orderJob } from "../cache/admin-jobs.ts";
import { digestOf } from "../../../src/oci/digest.ts";
import { bytesOf, type Content } from "../images/content.ts";
import type { Entrepot } from "../cache/entrepot.ts";
import type { Image } from "../images/images.ts";
import { zipf } from "../images/random-images.ts";

const MIB = 1024 * 1024;
const ADMIN_PATHS = ["/metrics", "/api/v1/status", "/api/v1/images", "/api/v1/pins"];

/** What there is to pull. */
export interface RudeContent {
  readonly images: readonly Image[];
  readonly large: readonly Content[];
}

/** One of several values, at random. */
export function oneOf<T>(choices: readonly T[], random: () => number): T {
  const choice = choices[Math.floor(random() * choices.length)];
  if (choice === undefined) throw new Error("there is nothing to choose from");
  return choice;
}

/** What clients received. */
export interface Tally {
  requests: number;
  /** Complete responses whose bytes are not what was requested. */
  wrong: number;
  /** Responses that ended before their last byte, as a client notices. */
  brokenOff: number;
  readonly statuses: Map<number, number>;
  bytes: number;
}

/** Clients that pull, read slowly, leave, and ask for lists, at random. */
export class RudeClients {
  readonly tally: Tally = { requests: 0, wrong: 0, brokenOff: 0, statuses: new Map(), bytes: 0 };
  readonly #cache: Entrepot;
  readonly #images: readonly Image[];
  readonly #large: readonly { readonly content: Content; readonly bytes: Uint8Array }[];
  readonly #next: () => number;
  readonly #random: () => number;
  readonly #ca: string | undefined;

  /** @param options.ca of the cache's certificate, if it has one */
  constructor(
    cache: Entrepot,
    { images, large }: RudeContent,
    { random, ca }: { readonly random: () => number; readonly ca?: string | undefined },
  ) {
    this.#cache = cache;
    this.#random = random;
    this.#ca = ca;
    this.#images = images;
    this.#large = large.map((content) => ({ content, bytes: bytesOf(content) }));
    this.#next = zipf(images.length, 0.8, random);
  }

  async actOnce(): Promise<void> {
    const [number, kind] = [this.#next(), this.#random()];
    const image = this.#images[number];
    const { content, bytes } = oneOf(this.#large, this.#random);
    const large = `large/blobs/${content.digest}`;
    if (kind < 0.6 && image) await this.#pull(number, image);
    else if (kind < 0.7) await this.#ranges(large, bytes);
    else if (kind < 0.73) await this.#read(large, { digest: content.digest, pause: 5 });
    else if (kind < 0.76) await this.#read(large, { leaveAfter: this.#random() * content.size });
    else if (kind < 0.8)
      await this.#read(`none${Math.floor(this.#random() * 1e6)}/manifests/1`, {});
    else if (kind < 0.84) await this.#read("tags/tags/list?n=20000", {});
    else if (kind < 0.86) await this.#read("_catalog", {});
    else if (kind < 0.9) await this.#read("large/manifests/1", {});
    else if (kind < 0.95 && image) {
      await this.#read(`app${number}/manifests/1`, { method: "HEAD" });
      await this.#read(`app${number}/blobs/${image.blobs[0]?.digest}`, { method: "HEAD" });
    } else await this.#admin(oneOf(ADMIN_PATHS, this.#random));
  }

  /** Has every stored byte verified. Returns how many blobs are corrupt. */
  async scrub(): Promise<number> {
    const ordered = await orderJob(this.#cache.adminAddress, "fsck", { rate: 50 * MIB });
    const result = verifiedSchema.parse(jobOf(ordered).result);
    return result.corrupt.length;
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
        const first = Math.floor(this.#random() * bytes.length);
        const last = Math.min(bytes.length - 1, first + Math.floor(this.#random() * 2 * MIB));
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
      const response = await this.#cache.get(url, {
        method,
        headers,
        signal: abort.signal,
        ...(this.#ca === undefined ? {} : { tls: { ca: this.#ca } }),
      });
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
