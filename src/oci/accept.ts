import { isManifestType } from "./media-types.ts";

/** The media ranges of an Accept header. An absent header accepts every type (RFC 9110 section 12.5.1). */
export class Accept {
  readonly #types: ReadonlySet<string>;

  constructor(header: string | null) {
    const types = (header?.trim() || "*/*")
      .split(",")
      .filter((entry) => !/;\s*q=0(?:\.0*)?\s*(?:;|$)/i.test(entry))
      .map((entry) => entry.split(";", 1)[0]?.trim().toLowerCase() ?? "")
      .filter((type) => type !== "");
    this.#types = new Set(types);
  }

  /**
   * Whether a manifest of this type may be sent. Vendors' types are not negotiated: the registry would
   * send them as well, whatever is accepted.
   */
  allowsManifest(type: string): boolean {
    return !isManifestType(type) || this.allows(type);
  }

  allows(type: string): boolean {
    return (
      this.#types.has(type) ||
      this.#types.has("*/*") ||
      this.#types.has(`${type.slice(0, type.indexOf("/"))}/*`)
    );
  }
}
