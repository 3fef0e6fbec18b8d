import { LRUCache } from "lru-cache";
import { receivesCredentials } from "../../config/cluster/credential-trap.ts";
import type { Digest } from "../../oci/digest.ts";
import type { Distrusted } from "./distrusted.ts";
import type { SharedStore } from "./shared-store.ts";
import { SharedStoreError } from "./shared-store-error.ts";
import type { SharedStoreHealth } from "./shared-store-health.ts";

/** How long an address is valid, in seconds. A client uses it at once; clocks may differ by some minutes. */
export const ADDRESS_SECONDS = 600;
/** How long it is believed that a blob is there, in milliseconds. */
const BELIEVED_MS = 300_000;
const MAX_KNOWN = 16_384;
/** How many blobs are looked for at once. */
const MAX_LOOKS = 8;
/** While clients are sent to the store, it is asked so often whether it is there, in milliseconds. */
const CHECK_MS = 1000;

export interface SharedAddressesOptions {
  readonly store: SharedStore;
  readonly health: SharedStoreHealth;
  readonly distrusted: Distrusted;
  /** Whether a blob is there for as long as its address holds; by default, whatever is there is. */
  readonly isStaying?: (digest: Digest) => Promise<boolean>;
  /** Where the store is. */
  readonly url: URL;
  /** Smaller responses are sent from here, in bytes. */
  readonly from: number;
  /** A client was sent to the store. */
  readonly onRedirected: (digest: Digest) => void;
}

/**
 * Addresses at which clients get large blobs from the shared store themselves. Nobody waits for the store: where
 * it is not known to have a blob, the blob is sent from here, and looked for meanwhile.
 */
export class SharedAddresses {
  readonly from: number;
  readonly #options: SharedAddressesOptions;
  readonly #known = new LRUCache<Digest, true>({ max: MAX_KNOWN, ttl: BELIEVED_MS });
  readonly #looking = new Set<Digest>();
  readonly #now: () => number;
  #checkedAt = -Infinity;

  /** @param now a monotonic clock, in milliseconds */
  constructor(options: SharedAddressesOptions, now: () => number = () => performance.now()) {
    this.#options = options;
    this.#now = now;
    this.from = options.from;
  }

  /** The store has a blob: it was just written, or seen there. */
  seen(digest: Digest): void {
    this.#known.set(digest, true);
  }

  /** The store has a blob no longer. */
  gone(digest: Digest): void {
    this.#known.delete(digest);
  }

  async of(digest: Digest, host: string): Promise<URL | undefined> {
    const { store, health, distrusted, url, onRedirected } = this.#options;
    const isUsable = health.state !== "away" && !distrusted.has(digest);
    if (!isUsable || receivesCredentials(url, hostnameOf(host))) return undefined;
    const isKnown = this.#known.has(digest);
    // A client that is sent to a store that hangs or refuses cannot be helped.
    if (!isKnown || this.#now() - this.#checkedAt >= CHECK_MS) void this.#look(digest);
    if (!isKnown) return undefined;
    try {
      const address = await store.addressOf(digest, ADDRESS_SECONDS);
      onRedirected(digest);
      return address;
    } catch {
      // There are no access keys now: whoever reads or writes tells that.
      return undefined;
    }
  }

  async #look(digest: Digest): Promise<void> {
    const { store, health, isStaying } = this.#options;
    if (this.#looking.has(digest) || this.#looking.size >= MAX_LOOKS) return;
    this.#looking.add(digest);
    this.#checkedAt = this.#now();
    try {
      const isThere = (await store.size(digest)) !== undefined;
      if (isThere && (await (isStaying?.(digest) ?? true))) this.seen(digest);
      else this.gone(digest);
    } catch (error) {
      if (error instanceof SharedStoreError) health.readFailed(error);
    } finally {
      this.#looking.delete(digest);
    }
  }
}

/** Without its port. */
function hostnameOf(host: string): string {
  return URL.parse(`http://${host}`)?.hostname ?? "";
}
