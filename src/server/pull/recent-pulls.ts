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

/** A request that was refused: what a node was told when a proof by a pull failed. */
export interface RefusedRequest {
  readonly namespace: string;
  readonly repository: string;
  readonly status: number;
  /** A code of distribution-spec. */
  readonly code: string;
  readonly message: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** The least recently used addresses are dropped (LRU). */
const MAX_ADDRESSES = 1024;
const MAX_PER_ADDRESS = 64;
/** A pull asks twice for what is refused: by HEAD and by GET. */
const MAX_REFUSED_PER_ADDRESS = 8;
/** Messages are held in memory. */
const MAX_MESSAGE = 300;
const MAX_AGE_MS = 10 * 60 * 1000;

/** What was served and refused in the last ten minutes, by client address. */
export class RecentPulls {
  readonly #served = new LRUCache<string, ServedRequest[]>({ max: MAX_ADDRESSES });
  readonly #refused = new LRUCache<string, RefusedRequest[]>({ max: MAX_ADDRESSES });

  add(address: string, served: ServedRequest): void {
    append(this.#served, address, served, MAX_PER_ADDRESS);
  }

  refuse(address: string, refused: RefusedRequest): void {
    const message = refused.message.slice(0, MAX_MESSAGE);
    append(this.#refused, address, { ...refused, message }, MAX_REFUSED_PER_ADDRESS);
  }

  /**
   * In the order in which they were served.
   *
   * @param since milliseconds since the epoch
   */
  of(address: string, since: number): readonly ServedRequest[] {
    return within(this.#served.get(address), since);
  }

  /** The latest ones, in the order in which they were refused. */
  refusedOf(address: string, since: number): readonly RefusedRequest[] {
    return within(this.#refused.get(address), since);
  }
}

function append<T>(lists: LRUCache<string, T[]>, address: string, item: T, most: number): void {
  const list = lists.get(address);
  if (!list) {
    lists.set(address, [item]);
    return;
  }
  list.push(item);
  if (list.length > most) list.shift();
}

function within<T extends { readonly at: number }>(list: T[] | undefined, since: number): T[] {
  const oldest = Math.max(since, Date.now() - MAX_AGE_MS);
  return (list ?? []).filter(({ at }) => at >= oldest);
}
