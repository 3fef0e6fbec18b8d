/**
 * Everything that can keep a pull from succeeding. The union is closed: server/pull/errors.ts gives each
 * its status and code, and the compiler says where one is missing.
 */
export type FaultDetail =
  | { readonly kind: "invalid-path"; readonly reason: string }
  | { readonly kind: "invalid-name"; readonly name: string; readonly reason?: string }
  | { readonly kind: "invalid-tag"; readonly tag: string }
  | { readonly kind: "invalid-digest"; readonly digest: string }
  | { readonly kind: "invalid-namespace"; readonly reason: string }
  | { readonly kind: "invalid-query"; readonly parameter: string; readonly reason: string }
  | { readonly kind: "invalid-range"; readonly reason: string; readonly size?: number }
  | { readonly kind: "read-only"; readonly method: string }
  | { readonly kind: "no-such-route" }
  | {
      readonly kind: "namespace-unknown";
      readonly asked: string;
      readonly served: readonly string[];
    }
  | {
      readonly kind: "not-found";
      readonly what: "manifest" | "blob" | "repository";
      readonly upstream: string;
      readonly name: string;
    }
  | { readonly kind: "not-acceptable"; readonly mediaType: string }
  | {
      readonly kind: "upstream-denied";
      readonly upstream: string;
      readonly name: string;
      readonly status: number;
      /** Whether it was asked with credentials, and what became of them. */
      readonly credentials?: "none" | "used" | "refused";
    }
  /** The owner of this cache does not want it served. */
  | { readonly kind: "not-allowed"; readonly upstream: string; readonly name: string }
  | {
      readonly kind: "upstream-rate-limited";
      readonly upstream: string;
      readonly retryAfter: number;
    }
  | {
      readonly kind: "upstream-failed";
      readonly upstream: string;
      readonly status: number;
      /** The host that answered so, where it is not the registry itself. */
      readonly at?: string;
    }
  | { readonly kind: "upstream-unreachable"; readonly upstream: string; readonly reason: string }
  | {
      readonly kind: "upstream-timeout";
      readonly upstream: string;
      readonly waitedFor: string;
      readonly seconds: number;
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
  /** The medium failed: an input/output error, a missing permission, a database that refuses. */
  | { readonly kind: "storage"; readonly reason: string }
  /** A full disk or a full quota: nothing is broken, and the blob is served without being stored. */
  | { readonly kind: "no-space"; readonly reason: string }
  /** Whoever wanted it is gone, or the cache is shutting down. */
  | { readonly kind: "cancelled"; readonly reason: string }
  /** A defect of the cache itself. */
  | { readonly kind: "internal"; readonly reason: string };

export type FaultKind = FaultDetail["kind"];

/** An error of the pull path, with all that a reader of its message needs. */
export class Fault extends Error {
  override readonly name = "Fault";

  constructor(
    readonly detail: FaultDetail,
    options?: ErrorOptions,
  ) {
    super(describe(detail), options);
  }
}

/** Whether the fault is the upstream's (or the road's to it), so that older content may stand in for its answer. */
export function isUpstreamFault(fault: Fault): boolean {
  return (
    fault.detail.kind.startsWith("upstream-") ||
    fault.detail.kind === "address-refused" ||
    fault.detail.kind === "overloaded"
  );
}

/** Whether the fault lies with this cache, so that asking another source cannot mend it. */
export function isLocalFault({ detail }: Fault): boolean {
  return (
    detail.kind === "storage" ||
    detail.kind === "no-space" ||
    detail.kind === "cancelled" ||
    detail.kind === "internal"
  );
}

const PRIVATE = {
  none: "it is private and no credentials for it are configured",
  used: "it is private and the configured credentials may not read it",
  refused: "it is private and the configured credentials are wrong: correct them",
} as const;

function describe(detail: FaultDetail): string {
  switch (detail.kind) {
    case "invalid-path":
      return `the path is not valid: ${detail.reason}`;
    case "invalid-name":
      return `${quote(detail.name)} is no repository name: ${detail.reason ?? "lower-case letters, digits, '.', '_', '-' and '/' in at most 255 characters"}`;
    case "invalid-tag":
      return `${quote(detail.tag)} is no tag: letters, digits, '.', '_' and '-' in at most 128 characters`;
    case "invalid-digest":
      return `${quote(detail.digest)} is no digest: sha256:<64 hex digits> or sha512:<128 hex digits>`;
    case "invalid-namespace":
      return detail.reason;
    case "invalid-query":
      return `the query parameter ${detail.parameter} ${detail.reason}`;
    case "invalid-range":
      return `the range cannot be served: ${detail.reason}`;
    case "read-only":
      return `${quote(detail.method)} is not served: this is a pull-through cache. Push to the upstream registry itself`;
    case "no-such-route":
      return "there is nothing here: a registry's routes begin with /v2/";
    case "namespace-unknown":
      return `${quote(detail.asked)} is not cached here. Cached are: ${detail.served.join(", ")}`;
    case "not-found":
      return `${detail.upstream} has no ${detail.what} ${detail.name}`;
    case "not-acceptable":
      return `it is stored as ${detail.mediaType}, which the Accept header does not allow`;
    case "upstream-denied":
      return `${detail.upstream} answered ${detail.status} for ${detail.name}: it does not exist there, or ${PRIVATE[detail.credentials ?? "none"]}`;
    case "not-allowed":
      return `the owner of this cache does not allow ${detail.name} of ${detail.upstream}: see allow and deny in its configuration`;
    case "upstream-rate-limited":
      return `${detail.upstream} limits how often it is asked (429): try again in ${detail.retryAfter} s, or configure credentials for it`;
    case "upstream-failed":
      return detail.at === undefined
        ? `${detail.upstream} answered ${detail.status}`
        : `${detail.upstream} led to ${detail.at}, which answered ${detail.status}`;
    case "upstream-unreachable":
      return `${detail.upstream} cannot be reached: ${detail.reason}`;
    case "upstream-timeout":
      return `${detail.upstream} did not ${detail.waitedFor} within ${detail.seconds} s`;
    case "upstream-invalid-response":
      return `${detail.upstream} sent something that cannot be used: ${detail.reason}`;
    case "address-refused":
      return `${detail.host}, where ${detail.upstream} led, ${detail.reason}`;
    case "overloaded":
      return `too many requests to ${detail.upstream} are under way`;
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

/** What a client sent, short enough for a message and without control characters. */
function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text);
}
