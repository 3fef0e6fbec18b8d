import type { Fault, FaultDetail, FaultKind } from "../../oci/fault.ts";
import { API_VERSION } from "./headers.ts";

/** Seconds after which a client may try again where nothing better is known. */
const RETRY_AFTER = 5;

interface Mapped {
  readonly status: number;
  /** One of distribution-spec's codes where one fits, else distribution's own `UNAVAILABLE`. */
  readonly code: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * The answer that a fault becomes. Failures of an upstream are 5xx and never 429, 401 or 404:
 * runtimes go on to the upstream itself at once on those, where they would retry a 429 here, send
 * pull secrets to a 401, and take a 404 for the truth.
 */
export function faultResponse(fault: Fault, method: string): Response {
  const { status, code, headers } = mapped(fault.detail);
  const advice = ADVICE[fault.detail.kind];
  const message =
    WITHOUT_DETAIL[fault.detail.kind] ??
    `${fault.message}${advice === undefined ? "" : `. ${advice}`}`;
  return errorResponse(method, status, code, message, headers);
}

/** Paths on the cache's machine and the text of defects are for its log alone. */
const WITHOUT_DETAIL: Partial<Record<FaultKind, string>> = {
  storage: "the cache's storage failed; its log says how",
  "no-space": "the cache has no space to store it; its log says more",
  internal: "something went wrong inside the cache; its log says what",
};

const LOOK =
  "Try again in a while; on the cache's machine, entrepot status tells since when, and entrepot doctor why";

/** What to do, where the fault's own message does not say it. */
const ADVICE: Partial<Record<FaultKind, string>> = {
  "upstream-failed": LOOK,
  "upstream-unreachable": LOOK,
  "upstream-timeout": LOOK,
  "upstream-invalid-response": LOOK,
  overloaded: "Try again in a while, or raise the upstream's maxConnections",
};

/** An answer in the form of distribution-spec, "Error Codes". */
export function errorResponse(
  method: string,
  status: number,
  code: string,
  message: string,
  headers?: Readonly<Record<string, string>>,
): Response {
  const body = `${JSON.stringify({ errors: [{ code, message, detail: null }] })}\n`;
  return new Response(method === "HEAD" ? null : body, {
    status,
    headers: {
      ...API_VERSION,
      ...headers,
      "content-type": "application/json",
      "content-length": String(Buffer.byteLength(body)),
    },
  });
}

function mapped(detail: FaultDetail): Mapped {
  switch (detail.kind) {
    case "invalid-path":
    case "invalid-name":
    case "invalid-namespace":
      return { status: 400, code: "NAME_INVALID" };
    case "invalid-tag":
      return { status: 400, code: "MANIFEST_INVALID" };
    case "invalid-digest":
      return { status: 400, code: "DIGEST_INVALID" };
    case "invalid-query":
      return { status: 400, code: "UNSUPPORTED" };
    case "invalid-range": {
      const size = detail.size;
      const headers = size === undefined ? {} : { "content-range": `bytes */${size}` };
      return { status: 416, code: "SIZE_INVALID", headers };
    }
    case "read-only":
      // The body of a push is not read: on a connection that goes on, it would pass for a request.
      return {
        status: 405,
        code: "UNSUPPORTED",
        headers: { allow: "GET, HEAD", connection: "close" },
      };
    case "no-such-route":
      return { status: 404, code: "UNSUPPORTED" };
    case "namespace-unknown":
      return { status: 404, code: "NAME_UNKNOWN" };
    case "not-found":
      return { status: 404, code: UNKNOWN_CODES[detail.what] };
    case "not-acceptable":
      return { status: 404, code: "MANIFEST_UNKNOWN" };
    case "upstream-denied":
    case "not-allowed":
      return { status: 403, code: "DENIED" };
    case "upstream-rate-limited":
      return {
        status: 503,
        code: "TOOMANYREQUESTS",
        headers: { "retry-after": String(Math.ceil(detail.retryAfter)) },
      };
    case "upstream-failed":
    case "upstream-unreachable":
    case "upstream-invalid-response":
    case "address-refused":
      return { status: 502, code: "UNAVAILABLE" };
    case "upstream-timeout":
      return { status: 504, code: "UNAVAILABLE" };
    case "internal":
      return { status: 500, code: "UNAVAILABLE" };
    case "overloaded":
    case "storage":
    case "no-space":
    case "cancelled":
      return {
        status: 503,
        code: "UNAVAILABLE",
        headers: { "retry-after": String(RETRY_AFTER) },
      };
  }
}

const UNKNOWN_CODES = {
  manifest: "MANIFEST_UNKNOWN",
  blob: "BLOB_UNKNOWN",
  repository: "NAME_UNKNOWN",
} as const;
