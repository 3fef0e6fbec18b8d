import type { Address } from "../parsing/address.ts";
import type { GlobPattern } from "../parsing/glob-pattern.ts";
import type { ProxyRule } from "../parsing/proxy.ts";
import type { ClaimTemplate } from "./claim-template.ts";

/** A user of the htpasswd file. */
export interface KnownUser {
  readonly name: string;
  /** A hash of bcrypt. */
  readonly hash: string;
}

/** A token that clients send as it is. */
export interface KnownToken {
  /** Several tokens may have one name. */
  readonly name: string;
  readonly token: string;
}

/** A public key as a JSON Web Key (RFC 7517), with its other members. */
export type PublicKey = Readonly<Record<string, unknown>> & { readonly kty: string };

/** Where the keys come from that sign the tokens of an issuer. */
export type KeySource =
  | { readonly kind: "keys"; readonly keys: readonly PublicKey[] }
  | { readonly kind: "url"; readonly url: URL }
  /** In the issuer's `.well-known/openid-configuration`. */
  | { readonly kind: "discovery"; readonly url: URL };

/** What a claim must be: one of these, as text. */
export interface RequiredClaim {
  readonly claim: string;
  readonly values: readonly GlobPattern[];
}

/** Tokens of an issuer, as JSON Web Tokens. */
export interface JwtSettings {
  /** Before the names of its principals. */
  readonly name: string;
  readonly issuer: string;
  /** One of them must be the token's. */
  readonly audiences: readonly string[];
  readonly source: KeySource;
  /** Whether the keys may be fetched from loopback, private and link-local addresses. */
  readonly allowPrivate: boolean;
  /** CA certificates to trust in addition to the public ones, as PEM text. */
  readonly ca?: string;
  /** The file with the token that is sent where the keys are fetched. An absolute path. */
  readonly tokenFile?: string;
  readonly proxy?: ProxyRule;
  readonly principal: ClaimTemplate;
  /** All of them must hold. */
  readonly claims: readonly RequiredClaim[];
}

export type Effect = "allow" | "deny";

/** Who may pull what. */
export interface AccessRule {
  readonly principals: readonly GlobPattern[];
  /** Of `UPSTREAM/REPOSITORY`. */
  readonly repositories: readonly GlobPattern[];
  readonly effect: Effect;
  /** Where it is written (`file:line:column`). */
  readonly from: string;
}

/** The clients that the cache knows itself, for `access: clients`. */
export interface ClientsSettings {
  readonly users?: readonly KnownUser[];
  readonly tokens?: readonly KnownToken[];
  readonly jwt: readonly JwtSettings[];
  /** The CA certificates of clients, as PEM text. */
  readonly certificates?: { readonly ca: string; readonly listen: Address };
  readonly rules: readonly AccessRule[];
  /** How the log and the audit call a principal: by its name, or by a hash of it. */
  readonly auditAs: "name" | "hash";
}
