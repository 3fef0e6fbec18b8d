import { type Digest, digestOf } from "../../oci/digest.ts";
import type { StoredBlob } from "../../store/blob-store.ts";
import {
  isShareable,
  type SharedBody,
  type SharedObject,
  type SharedStore,
} from "./shared-store.ts";
import { SharedStoreError } from "./shared-store-error.ts";

interface Kept {
  readonly bytes: Uint8Array;
  readonly storedAt: number;
}

/** A shared store in memory: for tests, and for replicas in one process. */
export class MemorySharedStore implements SharedStore {
  readonly name = "the shared store in memory";
  readonly #kept = new Map<Digest, Kept>();
  readonly #now: () => number;

  /** @param now in milliseconds of the epoch */
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  async size(digest: Digest, signal?: AbortSignal): Promise<number | undefined> {
    signal?.throwIfAborted();
    return this.#kept.get(digest)?.bytes.byteLength;
  }

  async read(
    digest: Digest,
    offset: number,
    signal: AbortSignal,
    end?: number,
  ): Promise<SharedBody | undefined> {
    signal.throwIfAborted();
    const kept = this.#kept.get(digest);
    if (!kept) return undefined;
    const size = kept.bytes.byteLength;
    const bytes = kept.bytes.slice(offset, end);
    const ended = Promise.resolve({ bytes: bytes.byteLength });
    return { size, start: offset, body: new Blob([bytes]).stream(), ended };
  }

  async write({ digest, size, bytes }: StoredBlob, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const content = await bytes.bytes();
    const isRight = isShareable(digest, size) && digestOf(content) === digest;
    if (!isRight) throw new SharedStoreError(this.name, { kind: "wrong-bytes" });
    this.#kept.set(digest, { bytes: content, storedAt: this.#now() });
  }

  async remove(digests: readonly Digest[], signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    for (const digest of digests) this.#kept.delete(digest);
  }

  async *list(after = "", signal?: AbortSignal): AsyncGenerator<SharedObject> {
    signal?.throwIfAborted();
    for (const digest of [...this.#kept.keys()].toSorted()) {
      const kept = this.#kept.get(digest);
      if (!kept || digest <= after) continue;
      yield { digest, size: kept.bytes.byteLength, storedAt: kept.storedAt };
    }
  }

  async addressOf(digest: Digest): Promise<URL> {
    return new URL(`memory:${digest}`);
  }
}
