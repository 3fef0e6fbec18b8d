import type { Digest } from "../../../src/oci/digest.ts";
import { bytesOf, type Content, contentOf, randomContent } from "../images/content.ts";
import { type Exchange, exchange } from "../registries/http-exchange.ts";
import type { Image } from "../images/images.ts";
import { randomImages, type RandomImagesOptions } from "../images/random-images.ts";
import type { ScriptedUpstream } from "../registries/scripted-upstream.ts";

/** A request of a client, with what a right response to it holds. */
export interface ModelRequest {
  readonly kind: "tag" | "manifest" | "blob";
  /** The registry, as images name it. */
  readonly registry: string;
  readonly path: string;
  readonly method: "GET" | "HEAD";
  readonly headers: Readonly<Record<string, string>>;
  readonly digest: Digest;
  /** What a tag that moves pointed to before: a stale response may still have that. */
  readonly before?: Digest;
  /** Offsets of the first byte and of the one after the last; absent for the whole. */
  readonly range?: readonly [first: number, end: number];
}

export interface ModelImage {
  readonly registry: string;
  readonly repository: string;
  readonly image: Image;
}

/** The registry where none is named. */
const REGISTRY = "reg.test";

/** A tag that points to one of two manifests of its repository. */
interface MovingTag {
  readonly upstream: ScriptedUpstream;
  readonly repository: string;
  /** The image that it points to, and the one that it moves to next. */
  images: readonly [Image, Image];
}

/**
 * What an upstream has, and with that what a cache before it may answer: the bytes of each digest, and the
 * digest of each tag.
 */
export class CacheModel {
  readonly #bytes = new Map<Digest, Uint8Array<ArrayBuffer>>();
  readonly #images: ModelImage[] = [];
  readonly #moving: MovingTag[] = [];
  #fresh = 0;

  /** Adds random images, each in a repository of its own with the tag `1`, to an upstream and to this. */
  addImages(
    upstream: ScriptedUpstream,
    options: RandomImagesOptions,
    registry = REGISTRY,
  ): readonly Image[] {
    const inMemory = (blob: Content): Content => contentOf(bytesOf(blob), blob.mediaType);
    return randomImages(options).map(({ manifest, blobs, children }) => {
      // To generate blobs for each request would take more time than all else.
      const image = { manifest, blobs: blobs.map(inMemory), children };
      const repository = `app${this.#images.length}`;
      upstream.add(repository, image, "1");
      for (const content of [manifest, ...image.blobs]) this.#addBytes(content);
      this.#images.push({ registry, repository, image });
      return image;
    });
  }

  /** Adds repositories of the default registry with a tag that moves between two of its images. */
  addMovingTags(upstream: ScriptedUpstream, count: number): void {
    const images = this.#images.filter(({ registry }) => registry === REGISTRY);
    for (let at = 0; at < count; at += 1) {
      const [one, other] = [images[2 * at]?.image, images[2 * at + 1]?.image];
      if (!one || !other) throw new Error("there are too few images");
      this.#moving.push({ upstream, repository: `moving${at}`, images: [one, other] });
      upstream.add(`moving${at}`, other, "1");
      upstream.add(`moving${at}`, one, "1");
    }
  }

  /** Moves one of these tags. Returns a request for what it points to now. */
  moveTag(random: () => number): ModelRequest {
    const moving = this.#moving[Math.floor(random() * this.#moving.length)];
    if (!moving) throw new Error("no tag moves");
    const [from, to] = moving.images;
    moving.images = [to, from];
    moving.upstream.add(moving.repository, to, "1");
    return this.#tag(REGISTRY, moving.repository, to);
  }

  /** Adds a blob that nobody has requested yet. Returns the request for it. */
  addFreshBlob(upstream: ScriptedUpstream): ModelRequest {
    const blob = randomContent(100_000, 1_000_000 + (this.#fresh += 1));
    upstream.addBlob("fresh", blob);
    this.#addBytes(blob);
    return this.#blob(REGISTRY, "fresh", blob.digest);
  }

  get digests(): readonly Digest[] {
    return [...this.#bytes.keys()];
  }

  get images(): readonly ModelImage[] {
    return this.#images;
  }

  tag({ registry, repository, image }: ModelImage): ModelRequest {
    return this.#tag(registry, repository, image);
  }

  #tag(registry: string, repository: string, { manifest: { digest } }: Image): ModelRequest {
    const path = `/v2/${repository}/manifests/1?ns=${registry}`;
    return { kind: "tag", registry, path, method: "GET", headers: {}, digest };
  }

  manifest({ registry, repository, image }: ModelImage): ModelRequest {
    const { digest } = image.manifest;
    const path = `/v2/${repository}/manifests/${digest}?ns=${registry}`;
    return { kind: "manifest", registry, path, method: "GET", headers: {}, digest };
  }

  #blob(registry: string, repository: string, digest: Digest): ModelRequest {
    const path = `/v2/${repository}/blobs/${digest}?ns=${registry}`;
    return { kind: "blob", registry, path, method: "GET", headers: {}, digest };
  }

  /** Requests for all of an image. */
  all(one: ModelImage): readonly ModelRequest[] {
    const { registry, repository, image } = one;
    const blobs = image.blobs.map(({ digest }) => this.#blob(registry, repository, digest));
    return [this.tag(one), this.manifest(one), ...blobs];
  }

  /** A random request: a manifest by its tag or digest, a blob, a part of one, or only the headers. */
  random(random: () => number): ModelRequest {
    const chosen = this.#images[Math.floor(random() * this.#images.length)];
    if (!chosen) throw new Error("the model is empty");
    const { registry, repository, image } = chosen;
    const kind = random();
    if (kind < 0.05) {
      const moving = this.#moving[Math.floor(random() * this.#moving.length)];
      if (moving) {
        const [now, before] = moving.images;
        return { ...this.#tag(REGISTRY, moving.repository, now), before: before.manifest.digest };
      }
    }
    if (kind < 0.1) return { ...this.tag(chosen), method: random() < 0.3 ? "HEAD" : "GET" };
    if (kind < 0.2) return { ...this.manifest(chosen), method: random() < 0.3 ? "HEAD" : "GET" };
    const blob = image.blobs[Math.floor(random() * image.blobs.length)] ?? image.manifest;
    const whole = this.#blob(registry, repository, blob.digest);
    if (kind < 0.3) return { ...whole, method: "HEAD" };
    if (kind < 0.75 || blob.size < 16) return whole;
    const first = Math.floor(random() * (blob.size - 1));
    const last =
      random() < 0.5 ? blob.size - 1 : first + Math.floor(random() * (blob.size - first));
    return {
      ...whole,
      headers: { range: `bytes=${first}-${last === blob.size - 1 ? "" : last}` },
      range: [first, last + 1],
    };
  }

  /** What is wrong with a response, whatever failed meanwhile; `undefined` if nothing is. */
  wrong(request: ModelRequest, { end, status, headers, body }: Exchange): string | undefined {
    if (end === "hung") return `hangs after ${status} and ${body.length} bytes`;
    if (end === "no-answer") return "closed without a response";
    if (status >= 501 && status <= 504) return undefined;
    if (status !== 200 && status !== 206)
      return `status ${status}: ${body.toString("utf8").slice(0, 200)}`;
    const digest = headers.get("docker-content-digest");
    const isBefore = request.before !== undefined && digest === request.before;
    const known = this.#bytes.get(isBefore ? request.before : request.digest);
    if ((digest !== request.digest && !isBefore) || !known) return `names ${digest}`;
    if (status === 206 && !request.range) return "206 without a range";
    const [first, until] = status === 206 && request.range ? request.range : [0, known.length];
    const range = `bytes ${first}-${until - 1}/${known.length}`;
    if (status === 206 && headers.get("content-range") !== range) {
      return `content-range ${headers.get("content-range")} instead of ${range}`;
    }
    const length = headers.get("content-length");
    if (length !== undefined && Number(length) !== until - first) return `content-length ${length}`;
    if (request.method === "HEAD") return undefined;
    const expected = known.subarray(first, until);
    if (!body.equals(expected.subarray(0, body.length))) {
      return `wrong bytes among ${body.length} of ${expected.length}`;
    }
    if (end === "complete" && body.length !== expected.length) {
      return `complete with ${body.length} of ${expected.length} bytes`;
    }
    return undefined;
  }

  /**
   * Pulls what a request is for.
   * @throws Error if that is not all that it asked for
   */
  async pull(address: string, request: ModelRequest): Promise<Exchange> {
    const response = await exchange(address, request.path, request);
    const mistake = this.wrong(request, response);
    if (mistake === undefined && isWhole(response)) return response;
    const text = response.body.toString("utf8").slice(0, 200);
    throw new Error(`${request.path}: ${mistake ?? `${response.status} ${text}`}`);
  }

  #addBytes(content: Content): void {
    if (!this.#bytes.has(content.digest)) this.#bytes.set(content.digest, bytesOf(content));
  }
}

/** Whether a client got everything that it asked for. */
export function isWhole({ end, status }: Exchange): boolean {
  return end === "complete" && (status === 200 || status === 206);
}
