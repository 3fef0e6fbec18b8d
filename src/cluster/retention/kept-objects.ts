import { setTimeout } from "node:timers/promises";
import { EventLoopYielder } from "../../event-loop/event-loop-yielder.ts";
import type { Digest } from "../../oci/digest.ts";
import type { Pin, Pins } from "../../store/metadata-store.ts";
import { MAX_OBJECTS, type ObjectNews } from "../objects/object-ledger.ts";

/** How often it is looked whether the pins have changed, in milliseconds: well within the grace period. */
const LOOK_MS = 10_000;
/** How long it is left at that after it could not be told: reading many images again would be in vain. */
const REST_MS = 60_000;
/** How often all is told again, in milliseconds: images have come since, and what is told is kept for a week. */
const RENEW_MS = 30 * 60_000;
/** Part of the time that telling takes; the rest is left to requests. */
const SHARE = 0.15;

export interface KeptObjectsOptions {
  readonly objects: Pick<ObjectNews, "keep" | "release">;
  readonly pins: Pick<Pins, "list">;
  /** Every blob that pins keep. */
  readonly blobs: (pins: readonly Pin[], signal: AbortSignal) => AsyncIterable<Digest>;
  readonly onError: (error: unknown) => void;
  /** In milliseconds; a test may make it shorter. */
  readonly interval?: number;
}

/**
 * Tells which objects of the shared store are pinned. The leader cannot know: an image whose manifest another
 * replica has may never have been asked of it.
 */
export class KeptObjects implements AsyncDisposable {
  readonly #options: KeptObjectsOptions;
  readonly #closing = new AbortController();
  readonly #loop: Promise<void>;
  #told: readonly Pin[] = [];
  #toldAt = -Infinity;

  constructor(options: KeptObjectsOptions) {
    this.#options = options;
    this.#loop = this.#run();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    const { interval = LOOK_MS } = this.#options;
    while (!signal.aborted) {
      let pause = interval;
      try {
        await this.#look(signal);
      } catch (error) {
        pause = REST_MS;
        if (!signal.aborted) this.#options.onError(error);
      }
      await setTimeout(pause, undefined, { signal, ref: false }).catch(() => {});
    }
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { objects, pins } = this.#options;
    const current = await pins.list();
    const keys = new Set(current.map(keyOf));
    const ended = this.#told.filter((pin) => !keys.has(keyOf(pin)));
    const hasChanged = ended.length > 0 || keys.size !== this.#told.length;
    if (!hasChanged && performance.now() - this.#toldAt < RENEW_MS) return;
    // Others may be pinned still, and are kept again right after.
    await this.#tell(ended, (digests) => objects.release(digests), signal);
    await this.#tell(current, (digests) => objects.keep(digests), signal);
    this.#told = current;
    this.#toldAt = performance.now();
  }

  async #tell(
    pins: readonly Pin[],
    tell: (digests: readonly Digest[]) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    if (pins.length === 0) return;
    const yielder = new EventLoopYielder(SHARE);
    const batch = new Set<Digest>();
    for await (const digest of this.#options.blobs(pins, signal)) {
      signal.throwIfAborted();
      batch.add(digest);
      if (batch.size < MAX_OBJECTS) continue;
      await tell([...batch]);
      batch.clear();
      await yielder.pause();
    }
    if (batch.size > 0) await tell([...batch]);
  }
}

function keyOf({ pattern, platforms }: Pin): string {
  return JSON.stringify([pattern, ...platforms]);
}
