import type { Tag } from "../../oci/names.ts";

/** The images that a rule is for: `docker.io/library/*`, `ghcr.io/acme/**:v*`. Globs as in `allow` and `deny`. */
export interface PolicyMatch {
  readonly text: string;
  matches(image: PolicyImage, tag: Tag): boolean;
  /** Whether it matches a tag of a repository that matches. */
  matchesTag(tag: Tag): boolean;
  /** Whether any tag of the repository may match. */
  matchesRepository(image: PolicyImage): boolean;
  /** The text, for the log line about a changed configuration. */
  toJSON(): string;
}

export interface PolicyImage {
  readonly upstream: string;
  readonly repository: string;
}

/**
 * A rule of `policies`. Of the rules that match an image, the first that has a `minAge` decides how old its digest
 * has to be, and the first that has `verify` who must have signed it.
 */
export interface PolicyRule {
  readonly match: PolicyMatch;
  readonly age?: AgeRule;
  readonly verify?: VerifyRule;
}

export interface AgeRule {
  /** How long ago a digest must have been seen first, in milliseconds. 0: a tag is served as its registry says. */
  readonly minAge: number;
  /** Of a tag that had no digest that is old enough: whether its first one is served. */
  readonly first: "allow" | "hold";
  /** Whether a digest that is not old enough can be had by its name. */
  readonly digests: "pass" | "hold";
  /** Whether tags/list shows tags that are not served yet. */
  readonly lists: "show" | "hide";
}

export interface VerifyRule {
  readonly mode: "off" | "observe" | "enforce";
  /** Public keys as PEM text, and where they were read from. One valid signature by any key or identity is enough. */
  readonly keys: readonly { readonly pem: string; readonly source: string }[];
  readonly keyless: readonly KeylessIdentity[];
  /** Predicate types of attestations, each of which has to be there as well. */
  readonly attestations: readonly string[];
  /** Whether a signature has to be there besides the attestations. */
  readonly signature: boolean;
  /** Whether a signature that names no repository counts in any. One that names another one counts in none. */
  readonly repository: "any" | "named";
  /** Absent: sigstore's public instance by TUF. */
  readonly trustRoot?: { readonly file: string; readonly json: string };
  /** Whether an entry in a transparency log is asked for. */
  readonly transparencyLog: boolean;
  /** A hash of all of the above but the mode: a change asks for everything anew. */
  readonly revision: string;
}

/** Who may have signed, by the certificate that Fulcio issued. Patterns may have `*`: see wildcard.ts. */
export interface KeylessIdentity {
  readonly issuer: string;
  readonly subject: string;
}
