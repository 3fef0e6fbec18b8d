import type { Fault } from "../../oci/fault.ts";
import type { StoredBlob } from "../../store/blob-store.ts";
import { DISK_PATIENCE_MS, withTimeout } from "../with-timeout.ts";

/** What can be waited for of a fill, in this order. A failed fill rejects those that are left. */
export class Milestones {
  readonly #started = Promise.withResolvers<void>();
  readonly #verified = Promise.withResolvers<void>();
  readonly #stored = Promise.withResolvers<StoredBlob>();
  readonly #ended = Promise.withResolvers<void>();
  /** A source's response was found usable. */
  readonly started = this.#started.promise;
  /** Size and digest are right: everybody may have all bytes. They are not durable yet. */
  readonly verified = this.#verified.promise;
  /** The blob is durable, and `BlobStore.open` finds it. */
  readonly stored = this.#stored.promise;
  /** As `stored`; `undefined` once clients have waited long enough for the disk. */
  readonly storedSoon = this.verified.then(() => withTimeout(DISK_PATIENCE_MS, this.stored));
  /** The fill has stored or failed, and its writer is closed. Never rejects. */
  readonly ended = this.#ended.promise;

  constructor() {
    // A fill outlives its clients, so its failure may have no handler.
    for (const promise of [this.started, this.verified, this.stored, this.storedSoon]) {
      promise.catch(() => {});
    }
  }

  start(): void {
    this.#started.resolve();
  }

  verify(): void {
    this.start();
    this.#verified.resolve();
  }

  store(blob: StoredBlob): void {
    this.verify();
    this.#stored.resolve(blob);
  }

  fail(fault: Fault): void {
    this.#started.reject(fault);
    this.#verified.reject(fault);
    this.#stored.reject(fault);
  }

  end(): void {
    this.#ended.resolve();
  }
}
