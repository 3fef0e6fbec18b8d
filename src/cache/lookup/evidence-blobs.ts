import type { Digest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import type { BlobStore } from "../../store/blob-store.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import { streamUncached } from "../bypass/stream-uncached.ts";
import { MISS } from "../cache-status.ts";
import { UpstreamSource } from "../fetch/upstream-source.ts";
import type { Fills } from "../fill/fills.ts";
import type { BlobResult } from "../results.ts";
import { SingleFlight } from "../single-flight.ts";
import { isBypassed, type Upstream } from "../upstream.ts";
import type { VerdictsFirst } from "../verdicts-first.ts";
import type { WriteBehind } from "../write-behind.ts";
import type { BlobLookup } from "./blob-lookup.ts";
import type { PullMetadata } from "./pull-metadata.ts";
import type { RepositoryAccess } from "./repository-access.ts";

/** What is larger is filled as for a client, in bytes. */
const MAX_BYTES = 512 * 1024;

export interface EvidenceBlobsOptions {
  readonly blobs: Pick<BlobLookup, "get">;
  readonly store: Pick<BlobStore, "open">;
  readonly fills: Pick<Fills, "put" | "running" | "using">;
  readonly metadata: Pick<PullMetadata, "blobs" | "links">;
  readonly access: Pick<RepositoryAccess, "answered">;
  readonly behind: WriteBehind;
  readonly verdicts: Pick<VerdictsFirst, "over">;
  readonly now: () => number;
}

/**
 * Small blobs by which images are judged, such as signatures. A client waits for the verdict, so that they are read
 * into memory and verified there, and stored once no verdict is waited for.
 */
export class EvidenceBlobs {
  readonly #options: EvidenceBlobsOptions;
  readonly #downloads = new SingleFlight<Uint8Array<ArrayBuffer>>();

  constructor(options: EvidenceBlobsOptions) {
    this.#options = options;
  }

  /**
   * @param size in bytes, as its manifest says
   * @throws Fault
   */
  async get(
    upstream: Upstream,
    repo: RepositoryRef,
    digest: Digest,
    size: number,
  ): Promise<BlobResult> {
    const { blobs, access } = this.#options;
    if (size > MAX_BYTES || isBypassed(upstream, repo) || (await this.#isHere(repo, digest))) {
      return blobs.get(upstream, repo, digest);
    }
    const source = new UpstreamSource(upstream, repo, digest);
    const missing = { digest, size, source, cacheStatus: MISS };
    const result = await streamUncached(missing, undefined, this.#downloads);
    await access.answered(repo);
    if (result.kind === "complete") await this.#storeLater(repo, digest, result.blob.bytes);
    return result;
  }

  async #isHere({ upstream }: RepositoryRef, digest: Digest): Promise<boolean> {
    const { fills, store } = this.#options;
    if (fills.running(digest, upstream)) return true;
    try {
      return (await store.open(digest)) !== undefined;
    } catch (error) {
      // It is read from the registry then, as for a client.
      if (!(error instanceof Fault)) throw error;
      return true;
    }
  }

  /** What cannot be stored is fetched again where it is needed: the verdict is recorded. */
  async #storeLater(repo: RepositoryRef, digest: Digest, content: Blob): Promise<void> {
    const { behind, verdicts, fills, metadata, now } = this.#options;
    const { size } = content;
    const store = async (): Promise<void> => {
      await verdicts.over();
      try {
        await fills.using(digest, async () => {
          await fills.put(digest, await content.bytes());
          await metadata.blobs.put({ digest, size }, now());
        });
        await metadata.links.add(repo, [{ digest, size, confirmed: true }]);
      } catch (error) {
        if (!(error instanceof Fault)) throw error;
      }
    };
    await behind.run(store, size, 0);
  }
}
