import { SingleFlight } from "../../cache/single-flight.ts";
import type { Storage } from "../../cache/retention/storage.ts";
import type { Digest } from "../../oci/digest.ts";
import { unopenedBlob } from "../../store/disk/blob-file.ts";
import { verifyStored } from "../../store/repair/scrub.ts";
import { systemCode } from "../../store/storage-fault.ts";
import type { Log } from "../../telemetry/log.ts";
import type { StoreReporter } from "./store-reporter.ts";

/** Takes stored blobs out of service that turn out to be damaged while they are served. */
export class BlobRepair {
  readonly #storage: Pick<Storage, "admin" | "blobs" | "store">;
  readonly #reporter: StoreReporter;
  readonly #log: Log;
  readonly #quarantines = new SingleFlight<void>();

  constructor(
    storage: Pick<Storage, "admin" | "blobs" | "store">,
    reporter: StoreReporter,
    log: Log,
  ) {
    this.#storage = storage;
    this.#reporter = reporter;
    this.#log = log;
  }

  /** Quarantines a blob that was read and found corrupt. Never rejects: it logs a failure. */
  quarantine(digest: Digest): Promise<void> {
    return this.#quarantines.run(digest, () => this.#quarantineIfCorrupt(digest));
  }

  async #quarantineIfCorrupt(digest: Digest): Promise<void> {
    const { admin, blobs } = this.#storage;
    try {
      // What was read may have been replaced since by what was fetched again.
      if ((await verifyStored(blobs, digest)) !== "corrupt") return;
      await admin.quarantine(digest);
      this.#reporter.corrupt(digest);
    } catch (error) {
      this.#reporter.failed("quarantining a corrupt blob", error);
    }
  }

  /**
   * The file of a response could not be opened, which is done only when it is sent. If another process
   * has deleted it, the blob's metadata is removed. In any case, the next request fetches the blob.
   */
  unreadable(cause: Error): void {
    const digest = unopenedBlob(cause);
    if (digest && this.#storage.store.readFailed(digest, cause)) return;
    this.#log.warn({ err: cause }, "a stored blob cannot be read");
    if (!digest || systemCode(cause) !== "ENOENT") return;
    this.#removeIfMissing(digest).catch((error: unknown) =>
      this.#reporter.failed("removing the metadata of a missing blob", error),
    );
  }

  async #removeIfMissing(digest: Digest): Promise<void> {
    const { admin, blobs } = this.#storage;
    // It may have been evicted, and stored again since.
    if (!(await blobs.open(digest, true))) await admin.quarantine(digest);
  }
}
