const BUCKET_MS = 500;
const BUCKETS = 10;

/** How many bytes per second were received in the last five seconds. */
export class RecentBytes {
  /** By the number of the bucket since the clock's beginning, of which the last ones are kept. */
  readonly #bytes = new Map<number, number>();

  add(bytes: number, now: number): void {
    const bucket = Math.floor(now / BUCKET_MS);
    this.#bytes.set(bucket, (this.#bytes.get(bucket) ?? 0) + bytes);
    if (this.#bytes.size > BUCKETS + 1) this.#forget(bucket);
  }

  /** Bytes per second. */
  rate(now: number): number {
    const bucket = Math.floor(now / BUCKET_MS);
    this.#forget(bucket);
    let sum = 0;
    for (const bytes of this.#bytes.values()) sum += bytes;
    // The current bucket has only begun.
    const elapsed = BUCKETS * BUCKET_MS + (now - bucket * BUCKET_MS);
    return (sum * 1000) / elapsed;
  }

  #forget(current: number): void {
    for (const bucket of this.#bytes.keys()) {
      if (bucket < current - BUCKETS) this.#bytes.delete(bucket);
    }
  }
}
