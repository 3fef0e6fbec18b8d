import type { HeldDetail } from "./held-detail.ts";
import { type NeededBy, neededText } from "./needed-by.ts";
import { secondsText } from "./seconds-text.ts";

/**
 * Every reason for which a pull can fail. The union is closed: server/pull/errors.ts maps each kind to
 * an HTTP status and an error code, and the compiler reports kinds that are not handled.
 */
export type FaultDetail =
  | { readonly kind: "invalid-path"; readonly reason: string }
  | { readonly kind: "invalid-name"; readonly name: string; readonly reason?: string }
  | { readonly kind: "invalid-tag"; readonly tag: string }
  | { readonly kind: "invalid-digest"; readonly digest: string }
  | { readonly kind: "invalid-namespace"; readonly reason: string }
  | { readonly kind: "invalid-query"; readonly parameter: string; readonly reason: string }
  | { readonly kind: "invalid-range"; readonly reason: string; readonly size?: number }
  | {
      readonly kind: "read-only";
      readonly method: string;
      /** Whether a token was asked for. */
      readonly isToken?: boolean;
    }
  | { readonly kind: "no-such-route" }
  | {
      readonly kind: "namespace-unknown";
      readonly namespace: string;
      /** The names of all upstreams that are served at the address of the request. */
      readonly available: readonly string[];
      /** Whether it is an upstream that is served only at another address. */
      readonly isElsewhere?: boolean;
    }
  | {
      readonly kind: "not-found";
      readonly what: "manifest" | "blob" | "repository";
      readonly upstream: string;
      readonly name: string;
      readonly neededBy?: NeededBy;
    }
  | { readonly kind: "not-acceptable"; readonly mediaType: string }
  | {
      readonly kind: "upstream-denied";
      readonly upstream: string;
      readonly name: string;
      readonly status: number;
      /**
       * Whether the request carried credentials, and whether the registry rejected them (`refused`) or
       * their helper or cloud gave none (`failed`).
       */
      readonly credentials?: CredentialUse;
    }
  /** Denied by the configured `allow` and `deny` patterns. */
  | { readonly kind: "not-allowed"; readonly upstream: string; readonly name: string }
  /** The client has to show who it is, or what it showed is not accepted. */
  | {
      readonly kind: "unauthorized";
      readonly reason: string;
      /** The value of WWW-Authenticate (RFC 9110 section 11.6.1). */
      readonly challenge: string;
      /** Whether it showed nothing. */
      readonly isAnonymous: boolean;
    }
  /** The client is known, and the rules do not let it pull this. */
  | { readonly kind: "not-permitted"; readonly reason: string; readonly principal: string }
  | HeldDetail
  /** Whether its signatures are as the rules want them cannot be found out now. */
  | { readonly kind: "unverifiable"; readonly upstream: string; readonly name: string }
  /** Too many attempts of the client to show who it is have failed. */
  | { readonly kind: "slowed"; /** In seconds. */ readonly retryAfter: number }
  | {
      readonly kind: "upstream-rate-limited";
      readonly upstream: string;
      /** In seconds. */
      readonly retryAfter: number;
    }
  | {
      readonly kind: "upstream-failed";
      readonly upstream: string;
      readonly status: number;
      /** The host that sent the status, if the registry redirected to another host. */
      readonly at?: string;
    }
  | { readonly kind: "upstream-unreachable"; readonly upstream: string; readonly reason: string }
  | {
      readonly kind: "upstream-timeout";
      readonly upstream: string;
      /** What the upstream failed to do in time: completes `<upstream> did not …`. */
      readonly waitedFor: string;
      readonly seconds: number;
      /** Set if it sent bytes, but fewer than are worth waiting for: asking it again is of no use. */
      readonly isTooSlow?: true;
    }
  | {
      readonly kind: "upstream-invalid-response";
      readonly upstream: string;
      readonly reason: string;
    }
  | {
      readonly kind: "address-refused";
      readonly upstream: string;
      readonly host: string;
      readonly reason: string;
    }
  | { readonly kind: "overloaded"; readonly upstream: string }
  /** This machine could not send a request, or receive its response. The upstream is not to blame. */
  | {
      readonly kind: "local-limit";
      readonly upstream: string;
      readonly limit: LocalLimit;
      readonly reason: string;
    }
  /** A response could not be made in time, since it needed the disk. */
  | { readonly kind: "slow-disk"; readonly seconds: number }
  /** The storage failed: an I/O error, a missing permission, a database error. */
  | { readonly kind: "storage"; readonly reason: string }
  /** The disk or a quota is full. Nothing is broken: the blob is served without being stored. */
  | { readonly kind: "no-space"; readonly reason: string }
  /** The client disconnected, or the cache is shutting down. */
  | { readonly kind: "cancelled"; readonly reason: string }
  /** A bug in the cache itself. */
  | { readonly kind: "internal"; readonly reason: string };

/** What this machine lacks, or does not permit. */
export type LocalLimit = "file-descriptors" | "memory" | "processes" | "ports" | "permission";

/** `client`: those of a client of the cache, which say nothing of what other clients may see. */
export type CredentialUse = "none" | "used" | "refused" | "failed" | "client";

export type FaultKind = FaultDetail["kind"];

/**
 * An error of the pull path. Clients see its message, except for the kinds `storage`, `no-space`
 * and `internal`.
 */
export class Fault extends Error {
  override readonly name = "Fault";

  constructor(
    readonly detail: FaultDetail,
    options?: ErrorOptions,
  ) {
    super(describe(detail), options);
  }
}

/**
 * Whether the upstream, the connection to it or a limit of this machine kept the upstream from answering, so
 * that a stale response may be served instead.
 */
export function isUpstreamFault(fault: Fault): boolean {
  return (
    fault.detail.kind.startsWith("upstream-") ||
    fault.detail.kind === "address-refused" ||
    isUnsent(fault)
  );
}

/** Whether this cache itself kept a request from being sent: that says nothing of the upstream. */
export function isUnsent({ detail }: Fault): boolean {
  return detail.kind === "overloaded" || detail.kind === "local-limit";
}

/** Whether a request to any other host would fail as well. */
export function isForAllHosts({ detail }: Fault): boolean {
  if (detail.kind !== "local-limit") return false;
  // Ports are counted for each address that is connected to, and firewalls permit some addresses.
  return detail.limit !== "ports" && detail.limit !== "permission";
}

/**
 * Whether the upstream answered, and the answer is about this one request: another one, for the same
 * content by another name or method, may succeed.
 */
export function isAnswer({ detail }: Fault): boolean {
  return (
    detail.kind === "not-found" ||
    detail.kind === "upstream-denied" ||
    detail.kind === "upstream-failed" ||
    detail.kind === "upstream-invalid-response" ||
    detail.kind === "invalid-range"
  );
}

/**
 * Whether the upstream refuses access. It does not if this cache has credentials and could not obtain
 * them: that is an outage.
 */
export function isRefusal({ detail }: Fault): boolean {
  return detail.kind === "upstream-denied" && detail.credentials !== "failed";
}

/**
 * Whether the answer may be about whoever asked: another account may see it, and is not limited. Some registries
 * say of what they hide that it is not found.
 */
export function isOfAsker({ detail }: Fault): boolean {
  return (
    detail.kind === "not-found" ||
    detail.kind === "upstream-denied" ||
    detail.kind === "upstream-rate-limited"
  );
}

/** Whether this cache caused the fault, so that retrying with another source cannot help. */
export function isLocalFault({ detail }: Fault): boolean {
  return (
    detail.kind === "storage" ||
    detail.kind === "slow-disk" ||
    detail.kind === "no-space" ||
    detail.kind === "cancelled" ||
    detail.kind === "internal"
  );
}

const PRIVATE = {
  client: "it does not let these credentials see it",
  none: "it is private and no credentials are configured for it",
  used: "it is private and the configured credentials do not grant access",
  refused: "it is private and the configured credentials were rejected: correct them",
  failed:
    "it is private and the cache has no credentials: their helper, or the cloud that issues them, gives none",
} as const;

/** The message that clients and the log show. */
function describe(detail: FaultDetail): string {
  switch (detail.kind) {
    case "invalid-path":
      return `the path is not valid: ${detail.reason}`;
    case "invalid-name":
      return `${quote(detail.name)} is not a valid repository name: ${detail.reason ?? "use at most 255 lower-case letters, digits, '.', '_', '-' and '/'"}`;
    case "invalid-tag":
      return `${quote(detail.tag)} is not a valid tag: use at most 128 letters, digits, '.', '_' and '-'`;
    case "invalid-digest":
      return `${quote(detail.digest)} is not a valid digest: use sha256:<64 hex digits> or sha512:<128 hex digits>`;
    case "invalid-query":
      return `the query parameter ${detail.parameter} ${detail.reason}`;
    case "invalid-range":
      return `the requested range is not valid: ${detail.reason}`;
    case "read-only":
      return detail.isToken
        ? `${quote(detail.method)} is not supported: ask for a token by GET, with Basic credentials`
        : `${quote(detail.method)} is not supported: this is a read-only pull-through cache. Push to the upstream registry instead`;
    case "no-such-route":
      return "not found: the registry API is under /v2/";
    case "namespace-unknown":
      return detail.isElsewhere
        ? `${quote(detail.namespace)} is not served at this address: see listen of the upstreams`
        : `${quote(detail.namespace)} is not cached here. Cached registries: ${detail.available.join(", ")}`;
    case "not-found":
      return `${detail.upstream} has no ${detail.what} ${detail.name}${neededText(detail.neededBy)}`;
    case "not-acceptable":
      return `the manifest has the media type ${detail.mediaType}, which the Accept header does not allow`;
    case "upstream-denied":
      return `${detail.upstream} returned ${detail.status} for ${detail.name}: it does not exist, or ${PRIVATE[detail.credentials ?? "none"]}`;
    case "not-allowed":
      return `this cache's configuration does not allow ${detail.name} of ${detail.upstream}: see allow, deny and access`;
    case "invalid-namespace":
    case "unauthorized":
    case "not-permitted":
      return detail.reason;
    case "held":
      return detail.text;
    case "unverifiable":
      return `whether ${detail.name} is signed as it must be cannot be found out: ${detail.upstream} does not say it now`;
    case "slowed":
      return `too many credentials from this address were not accepted: try again in ${secondsText(detail.retryAfter)}`;
    case "upstream-rate-limited":
      return `${detail.upstream} rate-limits this cache (429): try again in ${secondsText(detail.retryAfter)}, or configure credentials for it`;
    case "upstream-failed":
      return detail.at === undefined
        ? `${detail.upstream} returned ${detail.status}`
        : `${detail.upstream} redirected to ${detail.at}, which returned ${detail.status}`;
    case "upstream-unreachable":
      return `${detail.upstream} cannot be reached: ${detail.reason}`;
    case "upstream-timeout":
      return `${detail.upstream} did not ${detail.waitedFor} within ${secondsText(detail.seconds)}`;
    case "upstream-invalid-response":
      return `${detail.upstream} sent an invalid response: ${detail.reason}`;
    case "address-refused":
      return `refused to connect to ${detail.host} for ${detail.upstream}: it ${detail.reason}`;
    case "overloaded":
      return `too many concurrent requests to ${detail.upstream}`;
    case "local-limit":
      return `this machine cannot send a request to ${detail.upstream}: ${detail.reason}`;
    case "slow-disk":
      return `the cache's disk is too slow: a response was not complete within ${secondsText(detail.seconds)}`;
    case "storage":
      return `the cache's storage failed: ${detail.reason}`;
    case "no-space":
      return `the cache has no space to store it: ${detail.reason}`;
    case "cancelled":
      return `cancelled: ${detail.reason}`;
    case "internal":
      return `internal error: ${detail.reason}`;
  }
}

/** Quotes text from a client: at most 80 characters, with control characters escaped. */
function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text);
}
