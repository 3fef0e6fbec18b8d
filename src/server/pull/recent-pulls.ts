import { LRUCache } from "lru-cache";

/** What a node may ask for later, to prove that it was served from here. */
export interface ServedRequest {
  readonly namespace: string;
  readonly repository: string;
  readonly reference: string;
  readonly kind: string;
  readonly status: number;
  /** Milliseconds of the epoch. */
  readonly at: number;
}

/** Those that asked most lately. */
const ADDRESSES = 1024;
const PER_ADDRESS = 64;
const MEMORY_MS = 10 * 60 * 1000;

/** What was served to whom in the last minutes. At most 1,024 addresses with 64 entries each. */
export class RecentPulls {
  readonly #byAddress = new LRUCache<string, ServedRequest[]>({ max: ADDRESSES });

  add(address: string, served: ServedRequest): void {
    const list = this.#byAddress.get(address);
    if (!list) {
      this.#byAddress.set(address, [served]);
      return;
    }
    list.push(served);
    if (list.length > PER_ADDRESS) list.shift();
  }

  /** The newest last. */
  of(address: string, since: number): readonly ServedRequest[] {
    const oldest = Math.max(since, Date.now() - MEMORY_MS);
    return (this.#byAddress.get(address) ?? []).filter(({ at }) => at >= oldest);
  }
}
