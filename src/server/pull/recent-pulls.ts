import { LRUCache } from "lru-cache";

/** A served request, as a node can query it to prove that its pulls come from this cache. */
export interface ServedRequest {
  readonly namespace: string;
  readonly repository: string;
  readonly reference: string;
  readonly kind: string;
  readonly status: number;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** The least recently used addresses are dropped (LRU). */
const MAX_ADDRESSES = 1024;
const MAX_PER_ADDRESS = 64;
const MAX_AGE_MS = 10 * 60 * 1000;

/** What was served in the last ten minutes, by client address. */
export class RecentPulls {
  readonly #byAddress = new LRUCache<string, ServedRequest[]>({ max: MAX_ADDRESSES });

  add(address: string, served: ServedRequest): void {
    const list = this.#byAddress.get(address);
    if (!list) {
      this.#byAddress.set(address, [served]);
      return;
    }
    list.push(served);
    if (list.length > MAX_PER_ADDRESS) list.shift();
  }

  /**
   * In the order in which they were served.
   *
   * @param since milliseconds since the epoch
   */
  of(address: string, since: number): readonly ServedRequest[] {
    const oldest = Math.max(since, Date.now() - MAX_AGE_MS);
    return (this.#byAddress.get(address) ?? []).filter(({ at }) => at >= oldest);
  }
}
