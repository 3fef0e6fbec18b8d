import type { StoreAdmin } from "../../cache/retention/store-admin.ts";
import type { Digest } from "../../oci/digest.ts";
import { missingBlob } from "../../store/disk/missing-blob.ts";
import type { Log } from "../../telemetry/log.ts";
import type { StoreReporter } from "./store-reporter.ts";

/** Takes stored blobs out of service that turn out to be damaged while they are served. */
export class BlobRepair {
  readonly #admin: StoreAdmin;
  readonly #reporter: StoreReporter;
  readonly #log: Log;

  constructor(admin: StoreAdmin, reporter: StoreReporter, log: Log) {
    this.#admin = admin;
    this.#reporter = reporter;
    this.#log = log;
  }

  /** Quarantines a blob whose bytes do not match its digest. Never rejects: it logs a failure. */
  async quarantine(digest: Digest): Promise<void> {
    try {
      await this.#admin.quarantine(digest);
      this.#reporter.corrupt(digest);
    } catch (error) {
      this.#reporter.failed("quarantining a corrupt blob", error);
    }
  }

  /**
   * The file of a response could not be opened. If the file is missing, so that another process has
   * deleted it, the blob's metadata is removed and the next request fetches the blob.
   */
  unreadable(cause: Error): void {
    this.#log.warn({ err: cause }, "a stored blob cannot be read");
    this.#removeIfMissing(cause).catch((error: unknown) =>
      this.#reporter.failed("removing the metadata of a missing blob", error),
    );
  }

  async #removeIfMissing(cause: Error): Promise<void> {
    const digest = await missingBlob(cause);
    if (digest) await this.#admin.quarantine(digest);
  }
}
