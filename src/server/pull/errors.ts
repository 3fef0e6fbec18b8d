import type { Fault, FaultDetail, FaultKind } from "../../oci/fault.ts";
import { API_VERSION, warningHeader } from "./headers.ts";

/** `Retry-After` if the upstream gives no time of its own, in seconds. */
const RETRY_AFTER = 5;

interface HttpError {
  readonly status: number;
  /** A code of distribution-spec if one fits, otherwise `UNAVAILABLE`, which distribution defines. */
  readonly code: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * The response to a request that failed. What an upstream answers about the image stays what it is:
 * 404 if it is missing, 403 if it is denied. Failures of an upstream become 5xx, on which container
 * runtimes continue with the upstream itself, and never 429, 401 or 404: runtimes would retry here
 * on a 429, send pull secrets to the cache on a 401, and report on a 404 that the image is missing. A 401
 * is for content of which the owner wants that clients show who they are.
 */
export function faultResponse(fault: Fault, method: string): Response {
  const { status, headers } = httpError(fault.detail);
  const { code, message } = refusalOf(fault);
  const { detail } = fault;
  const neededBy = detail.kind === "not-found" ? detail.neededBy : undefined;
  if (!neededBy) return errorResponse(method, status, code, message, { headers });
  const warning = warningHeader(`held: ${neededBy.text}`);
  return errorResponse(method, status, code, message, { headers: warning, detail: { neededBy } });
}

/** What a client is told of a fault: a code of distribution-spec, and the reason. */
export interface Refusal {
  readonly code: string;
  readonly message: string;
}

export function refusalOf({ detail, message }: Fault): Refusal {
  const advice = ADVICE[detail.kind];
  const reason = REDACTED[detail.kind] ?? `${message}${advice === undefined ? "" : `. ${advice}`}`;
  return { code: httpError(detail).code, message: reason };
}

/** Replaces messages that contain paths of the cache's machine or the text of a defect. */
const REDACTED: Partial<Record<FaultKind, string>> = {
  storage: "the cache's storage failed: see the cache's log",
  "no-space": "the cache has no space to store it: see the cache's log",
  internal: "internal error of the cache: see the cache's log",
};

const DIAGNOSE =
  "Try again later. On the cache's machine, entrepot status shows since when it fails, and entrepot doctor why";

/** What to do, for faults whose message does not say it. */
const ADVICE: Partial<Record<FaultKind, string>> = {
  unverifiable: DIAGNOSE,
  "upstream-failed": DIAGNOSE,
  "upstream-unreachable": DIAGNOSE,
  "upstream-timeout": DIAGNOSE,
  "upstream-invalid-response": DIAGNOSE,
  "local-limit": "On the cache's machine, entrepot status shows it",
  "slow-disk": "On the cache's machine, entrepot status shows how slow",
  overloaded: "Try again later, or raise the upstream's maxConnections",
};

/** An error in the form of distribution-spec, "Error Codes". */
export function errorResponse(
  method: string,
  status: number,
  code: string,
  message: string,
  {
    headers,
    detail = null,
  }: {
    readonly headers?: Readonly<Record<string, string>> | undefined;
    readonly detail?: object | null;
  } = {},
): Response {
  const body = `${JSON.stringify({ errors: [{ code, message, detail }] })}\n`;
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

function httpError(detail: FaultDetail): HttpError {
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
      // The body of a push is not read: on a kept-alive connection it would be parsed as a request.
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
    case "unauthorized":
      return {
        status: 401,
        code: "UNAUTHORIZED",
        headers: { "www-authenticate": detail.challenge },
      };
    case "upstream-denied":
    case "not-allowed":
    case "not-permitted":
    case "held":
      return { status: 403, code: "DENIED" };
    case "slowed":
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
    case "local-limit":
    case "unverifiable":
    case "slow-disk":
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
