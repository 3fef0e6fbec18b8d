import type { Digest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import type { BlobStore, BlobWriter, StoredBlob } from "../../store/blob-store.ts";
import { type PartialName, partialName } from "../../store/partial-name.ts";
import { SingleFlight } from "../single-flight.ts";
import { withTimeout } from "../with-timeout.ts";

/** How long a fill waits for one of them, and for its file, in milliseconds; then its blob is not stored. */
const PATIENCE_MS = 2000;

/**
 * Stores what verified writers have written. No client waits for that, so on a slow disk more and more
 * commits would be under way, each with an open file: while there are too many, no writer is opened, and
 * what is downloaded is not stored. Nor is it if a file cannot be opened soon.
 */
export class Commits implements Pick<BlobStore, "open" | "readFailed" | "writer"> {
  readonly #store: BlobStore;
  readonly #limit: number;
  readonly #patience: number;
  readonly #byDigest = new SingleFlight<StoredBlob>();
  /** Partial files whose opening takes too long. */
  readonly #opening = new Set<PartialName>();
  #count = 0;
  /** Resolves when a commit has ended. */
  #ended = Promise.withResolvers<void>();

  /**
   * @param limit how many commits may be under way before the next blob is begun
   * @param patience how long a writer waits for the disk, in milliseconds
   */
  constructor(store: BlobStore, limit: number, patience: number = PATIENCE_MS) {
    this.#store = store;
    this.#limit = limit;
    this.#patience = patience;
  }

  open(digest: Digest): Promise<StoredBlob | undefined> {
    return this.#store.open(digest);
  }

  readFailed(digest: Digest, cause: unknown, at?: number): boolean {
    return this.#store.readFailed(digest, cause, at);
  }

  /** @throws Fault if the disk is too slow for one more blob, besides those of the store */
  async writer(digest: Digest, owner = ""): Promise<BlobWriter> {
    const name = partialName(digest, owner);
    if (this.#opening.has(name)) throw slowDisk("it is still being opened for an earlier download");
    await this.#admit();
    const opening = this.#store.writer(digest, owner);
    const writer = await withTimeout(this.#patience, opening);
    if (writer) return writer;
    this.#opening.add(name);
    const close = (late: BlobWriter): Promise<void> => late.suspend();
    void opening
      .then(close)
      .catch(() => {})
      .finally(() => this.#opening.delete(name));
    throw slowDisk(`opening a file takes more than ${this.#patience} ms`);
  }

  /**
   * Stores what a verified writer has written, and ends the writer. Of several writers of a digest, only
   * the first one's file becomes the blob; if it cannot be stored, the next one's does.
   */
  async commit(writer: BlobWriter): Promise<StoredBlob> {
    this.#count += 1;
    try {
      return await this.#commitOnce(writer);
    } finally {
      this.#count -= 1;
      this.#ended.resolve();
      this.#ended = Promise.withResolvers();
    }
  }

  async #commitOnce(writer: BlobWriter): Promise<StoredBlob> {
    const { digest } = writer;
    for (;;) {
      const committing = this.#byDigest.running(digest);
      if (!committing) break;
      await committing.catch(() => {});
    }
    return this.#byDigest.run(digest, async () => {
      const stored = await this.#store.open(digest);
      if (!stored) return writer.commit();
      // A partial file that cannot be deleted expires.
      await writer.discard().catch(() => {});
      return stored;
    });
  }

  async #admit(): Promise<void> {
    const deadline = performance.now() + this.#patience;
    while (this.#count >= this.#limit) {
      const left = deadline - performance.now();
      if (left <= 0) {
        throw slowDisk(`${this.#count} downloaded blobs wait to be synced`);
      }
      await withTimeout(left, this.#ended.promise);
    }
  }
}

function slowDisk(why: string): Fault {
  return new Fault({ kind: "storage", reason: `the disk is slow: ${why}` });
}
