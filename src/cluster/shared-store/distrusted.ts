import { type Digest, newHasher, digestHex } from "../../oci/digest.ts";
import type { SharedStore } from "./shared-store.ts";

/** Each may be read as a whole. */
const MAX_DIGESTS = 64;

/** What came of looking at a blob again. */
export type Verdict = "right" | "wrong" | "gone" | "unknown";

/**
 * Blobs of which the shared store may have sent wrong bytes. They are not read from it until they were looked
 * at again, one at a time, and removed from it if they are wrong. Another source of the same download may
 * have been to blame.
 */
export class Distrusted {
  readonly #store: SharedStore;
  readonly #onVerdict: (digest: Digest, verdict: Verdict) => void;
  readonly #digests = new Set<Digest>();
  readonly #closing = new AbortController();
  #looking: Promise<void> | undefined;

  constructor(store: SharedStore, onVerdict: (digest: Digest, verdict: Verdict) => void) {
    this.#store = store;
    this.#onVerdict = onVerdict;
  }

  has(digest: Digest): boolean {
    return this.#digests.has(digest);
  }

  add(digest: Digest): void {
    // Of more than that, some are read again before they were looked at: who reads them verifies them.
    if (this.#digests.size >= MAX_DIGESTS) return;
    this.#digests.add(digest);
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
  }

  /** Resolves once all were looked at. */
  async settled(): Promise<void> {
    while (this.#looking) await this.#looking;
  }

  close(): void {
    this.#closing.abort();
  }

  async #look(): Promise<void> {
    for (const digest of this.#digests) {
      const verdict = await this.#verdict(digest).catch((): Verdict => "unknown");
      this.#digests.delete(digest);
      if (this.#closing.signal.aborted) return;
      this.#onVerdict(digest, verdict);
    }
  }

  async #verdict(digest: Digest): Promise<Verdict> {
    const { signal } = this.#closing;
    const found = await this.#store.read(digest, 0, signal);
    if (!found) return "gone";
    const hasher = newHasher(digest);
    for await (const chunk of found.body) hasher.update(chunk);
    if (hasher.digest("hex") === digestHex(digest)) return "right";
    await this.#store.remove([digest], signal);
    return "wrong";
  }
}
