import type { NearManifest, NearSources } from "../../cache/fetch/near-sources.ts";
import type { NearLimits, Source, Transfer } from "../../cache/fetch/source.ts";
import type { Digest } from "../../oci/digest.ts";
import { digestOf } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import { MAX_MANIFEST_BYTES } from "../../oci/manifest.ts";
import { parseManifest } from "../../oci/parse-manifest.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import type { Distrusted } from "./distrusted.ts";
import { isShareable, type SharedBody, type SharedStore } from "./shared-store.ts";
import { SharedStoreError } from "./shared-store-error.ts";
import type { SharedStoreHealth } from "./shared-store-health.ts";

/**
 * How long the shared store may take until its first byte, and between bytes, in milliseconds. A pull loses the
 * first one once per breaker at most.
 */
export const SHARED_STORE_LIMITS = {
  firstByteMs: 300,
  stallMs: 2000,
} as const satisfies NearLimits;

/** How many blobs are read from it at once; with more, the other sources are as good. */
const MAX_READS = 64;

export interface SharedStoreSourcesOptions {
  readonly store: SharedStore;
  readonly health: SharedStoreHealth;
  readonly distrusted: Distrusted;
  /** Whether the store had a blob that was asked for. */
  readonly onRead?: (digest: Digest, isThere: boolean) => void;
  /** Called with the bytes of each transfer at its end. */
  readonly onReceived: (bytes: number) => void;
}

/** Reads missing content from the shared store, as long as that answers. */
export class SharedStoreSources implements NearSources {
  readonly #options: SharedStoreSourcesOptions;
  #reads = 0;

  constructor(options: SharedStoreSourcesOptions) {
    this.#options = options;
  }

  of(place: RepositoryRef, digest: Digest, size?: number): readonly Source[] {
    return this.#isUsable(digest, size) ? [new SharedStoreSource(this, place, digest, size)] : [];
  }

  async manifest(_place: RepositoryRef, digest: Digest): Promise<NearManifest | undefined> {
    if (!this.#isUsable(digest)) return undefined;
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(this.#silent()), SHARED_STORE_LIMITS.firstByteMs);
    try {
      const found = await this.read(digest, 0, abort.signal);
      clearTimeout(timer);
      const bytes = found && (await readWhole(found, MAX_MANIFEST_BYTES));
      if (!bytes) return undefined;
      if (digestOf(bytes) !== digest) {
        this.#options.distrusted.add(digest);
        return undefined;
      }
      return { bytes, mediaType: (await parseManifest(bytes, "")).mediaType };
    } catch {
      // Its failure was recorded, and the upstream has it.
      return undefined;
    } finally {
      clearTimeout(timer);
    }
  }

  get name(): string {
    return this.#options.store.name;
  }

  distrust(digest: Digest): void {
    this.#options.distrusted.add(digest);
  }

  /**
   * Opens a blob, and records what comes of it.
   *
   * @throws SharedStoreError or Fault; the signal's reason if it is aborted
   */
  async read(digest: Digest, offset: number, signal: AbortSignal): Promise<SharedBody | undefined> {
    const { store, health } = this.#options;
    const { reads } = health;
    if (!reads.admit()) throw reads.error ?? this.#overloaded();
    this.#reads += 1;
    let found: SharedBody | undefined;
    try {
      found = await store.read(digest, offset, signal);
    } catch (error) {
      this.#reads -= 1;
      this.#failed(error, signal);
      throw error;
    }
    health.readSucceeded();
    this.#options.onRead?.(digest, found !== undefined);
    if (found) void this.#watch(found, signal);
    else this.#reads -= 1;
    return found;
  }

  async #watch({ ended }: SharedBody, signal: AbortSignal): Promise<void> {
    const { store, health, onReceived } = this.#options;
    const { bytes, fault = silenceOf(signal) } = await ended;
    this.#reads -= 1;
    onReceived(bytes);
    if (fault) health.readFailed(SharedStoreError.of(store.name, fault));
  }

  #isUsable(digest: Digest, size?: number): boolean {
    const { health, distrusted } = this.#options;
    if (!isShareable(digest, size) || this.#reads >= MAX_READS) return false;
    return health.reads.isPassable && !distrusted.has(digest);
  }

  #failed(error: unknown, signal: AbortSignal): void {
    const { store, health } = this.#options;
    const silence = silenceOf(signal);
    if (error instanceof SharedStoreError) health.readFailed(error);
    else if (silence) health.readFailed(SharedStoreError.of(store.name, silence));
    else health.reads.abandoned();
  }

  #silent(): Fault {
    const seconds = SHARED_STORE_LIMITS.firstByteMs / 1000;
    const waitedFor = "begin to send a manifest";
    return new Fault({ kind: "upstream-timeout", upstream: this.name, waitedFor, seconds });
  }

  #overloaded(): Fault {
    return new Fault({ kind: "overloaded", upstream: this.name });
  }
}

/** One blob of the shared store. That it is there says nothing of where it may be seen. */
class SharedStoreSource implements Source {
  readonly near = SHARED_STORE_LIMITS;
  readonly upstream: RepositoryRef["upstream"];
  readonly #sources: SharedStoreSources;
  readonly #digest: Digest;
  readonly #size: number | undefined;

  constructor(
    sources: SharedStoreSources,
    { upstream }: RepositoryRef,
    digest: Digest,
    size: number | undefined,
  ) {
    this.upstream = upstream;
    this.#sources = sources;
    this.#digest = digest;
    this.#size = size;
  }

  get name(): string {
    return this.#sources.name;
  }

  async open(offset: number, signal: AbortSignal): Promise<Transfer> {
    const digest = this.#digest;
    let found: SharedBody | undefined;
    try {
      found = await this.#sources.read(digest, offset, signal);
    } catch (error) {
      throw error instanceof SharedStoreError ? error.toFault() : error;
    }
    if (!found) {
      throw new Fault({ kind: "not-found", what: "blob", upstream: this.name, name: digest });
    }
    const { start, size, body } = found;
    if (size !== undefined && this.#size !== undefined && size !== this.#size) {
      this.#sources.distrust(digest);
    }
    const reportCorrupt = (): boolean => {
      this.#sources.distrust(digest);
      return true;
    };
    return { start, body, reportCorrupt, ...(size === undefined ? {} : { size }) };
  }
}

/** Why a download gave the store up, if that is the store's fault. */
function silenceOf({ reason }: AbortSignal): Fault | undefined {
  return reason instanceof Fault && reason.detail.kind === "upstream-timeout" ? reason : undefined;
}

/** The bytes of a body; `undefined` if there are more than the limit. */
async function readWhole(
  { body, size = 0 }: SharedBody,
  limit: number,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const chunks: Uint8Array[] = [];
  let length = size > limit ? size : 0;
  const reader = body.getReader();
  try {
    while (length <= limit) {
      const { done, value } = await reader.read();
      if (done) return new Uint8Array(Buffer.concat(chunks));
      length += value.byteLength;
      // It is only lent.
      chunks.push(value.slice());
    }
    return undefined;
  } finally {
    await reader.cancel().catch(() => {});
  }
}
