import type { Digest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import type { StoredBlob } from "../../store/blob-store.ts";
import type { Source } from "./source.ts";
import type { SourceList } from "./source-list.ts";

/** Tells the sources of a download what is wrong with its bytes. */
export class Blame {
  readonly #digest: Digest;
  readonly #sources: SourceList;
  #canRetryElsewhere = false;

  constructor(digest: Digest, sources: SourceList) {
    this.#digest = digest;
    this.#sources = sources;
  }

  /** Whether a source would now take the blob from elsewhere. */
  get canRetryElsewhere(): boolean {
    return this.#canRetryElsewhere;
  }

  /** A download from scratch begins. */
  restart(): void {
    this.#canRetryElsewhere = false;
    this.#sources.restart();
  }

  /** Reports the complete download as corrupt, and returns the fault. */
  wrongDigest(): Fault {
    const reason = `the bytes sent as ${this.#digest} do not match the digest`;
    return this.report(this.invalidResponse(reason));
  }

  /**
   * Reports that the download, complete or not, is not of this blob, and returns the fault.
   *
   * @param size that it has, or was to have, in bytes
   */
  unlike({ digest, size }: StoredBlob, announced: number | undefined): Fault {
    if (announced === undefined || announced === size) return this.wrongDigest();
    const reason = `${announced} bytes were announced for ${digest}, which has ${size}`;
    return this.report(this.invalidResponse(reason));
  }

  report(fault: Fault): Fault {
    this.#canRetryElsewhere = this.#sources.reportCorrupt(fault);
    return fault;
  }

  /** @param source by default, the first one */
  invalidResponse(reason: string, source: Source | undefined = this.#sources.sources[0]): Fault {
    return new Fault({
      kind: "upstream-invalid-response",
      upstream: source?.name ?? "the upstream",
      reason,
    });
  }
}
