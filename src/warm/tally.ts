import type { Progress } from "../api/jobs.ts";
import type { Digest } from "../oci/digest.ts";
import type { UpstreamName } from "../oci/names.ts";

/** Over what time the speed is measured, in milliseconds. */
const WINDOW_MS = 5000;

interface Running {
  readonly upstream: UpstreamName;
  readonly size: number;
}

/** What the images of an order are made of, and how much of that is here. */
export class Tally {
  readonly images = { done: 0, of: 0 };
  /** What had to be downloaded. */
  readonly downloaded = { blobs: 0, bytes: 0 };
  /** Their sizes. */
  readonly #blobs = new Map<Digest, number>();
  readonly #done = new Set<Digest>();
  readonly #running = new Map<Digest, Running>();
  readonly #received: (upstream: UpstreamName, digest: Digest) => number;
  #bytes = 0;
  #doneBytes = 0;
  #samples: { readonly at: number; readonly bytes: number }[] = [];

  /** @param received how many bytes of a blob that is downloaded are here */
  constructor(received: (upstream: UpstreamName, digest: Digest) => number) {
    this.#received = received;
  }

  /** How many blobs are known. */
  get blobs(): number {
    return this.#blobs.size;
  }

  /** What all blobs take that are known, in bytes, those included. */
  with(blobs: readonly { readonly digest: Digest; readonly size: number }[]): number {
    const added = blobs.filter(({ digest }) => !this.#blobs.has(digest));
    return added.reduce((sum, { size }) => sum + size, this.#bytes);
  }

  add(blobs: readonly { readonly digest: Digest; readonly size: number }[]): void {
    this.#bytes = this.with(blobs);
    for (const { digest, size } of blobs) this.#blobs.set(digest, size);
  }

  begin(digest: Digest, upstream: UpstreamName): void {
    if (this.#done.has(digest)) return;
    this.#running.set(digest, { upstream, size: this.#blobs.get(digest) ?? 0 });
  }

  /** It is not downloaded, or not any more. */
  rests(digest: Digest): void {
    this.#running.delete(digest);
  }

  /** @param isNew whether it was downloaded */
  end(digest: Digest, isNew: boolean): void {
    this.rests(digest);
    if (this.#done.has(digest)) return;
    const size = this.#blobs.get(digest) ?? 0;
    this.#done.add(digest);
    this.#doneBytes += size;
    if (!isNew) return;
    this.downloaded.blobs += 1;
    this.downloaded.bytes += size;
  }

  progress(now: number, note?: string): Progress {
    let receiving = 0;
    for (const [digest, { upstream, size }] of this.#running) {
      receiving += Math.min(size, this.#received(upstream, digest));
    }
    const bytesPerSecond = this.#speed(now, this.downloaded.bytes + receiving);
    const { images } = this;
    return {
      done: { images: images.done, blobs: this.#done.size, bytes: this.#doneBytes + receiving },
      of: { images: images.of, blobs: this.#blobs.size, bytes: this.#bytes },
      ...(bytesPerSecond === undefined ? {} : { bytesPerSecond }),
      ...(note === undefined ? {} : { note }),
    };
  }

  #speed(at: number, bytes: number): number | undefined {
    this.#samples.push({ at, bytes });
    this.#samples = this.#samples.filter((sample) => at - sample.at <= WINDOW_MS);
    const [first] = this.#samples;
    if (!first || at <= first.at) return undefined;
    return Math.max(0, Math.round(((bytes - first.bytes) * 1000) / (at - first.at)));
  }
}
