import { Fault } from "../../../oci/fault.ts";
import type { Transfer } from "../source.ts";

/**
 * What hosts say of the version of a blob that they send (ETag, Last-Modified). Parts of two versions must not
 * be combined (RFC 9110 section 15.3.7.3). The digest would tell, but only of all parts together.
 */
export class Versions {
  readonly #known = new Map<string, string>();

  /** Those of the download's own transfer are what others are compared with. */
  note({ version }: Transfer): void {
    if (version) this.#known.set(version.host, version.tag);
  }

  fit({ version }: Transfer): boolean {
    const known = version && this.#known.get(version.host);
    return known === undefined || known === version?.tag;
  }

  /** @throws Fault if the transfer is of another version */
  check(transfer: Transfer): void {
    if (this.fit(transfer)) return;
    const { host = "the upstream", tag } = transfer.version ?? {};
    throw new Fault({
      kind: "upstream-invalid-response",
      upstream: host,
      reason: `the blob changed while it was downloaded: it is ${tag}, and was ${this.#known.get(host)}`,
    });
  }
}
