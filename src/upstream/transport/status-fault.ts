import { type CredentialUse, Fault } from "../../oci/fault.ts";
import { retryAfter } from "../../oci/retry-after.ts";
import { QUIRKS } from "../quirks.ts";

/** What a request was for, for the fault that its response may become. */
export interface RequestSubject {
  readonly upstream: string;
  readonly resource: "manifest" | "blob" | "repository";
  /** For messages: `library/nginx:1.27`. */
  readonly name: string;
  /** What became of the credentials; unset if that is unknown. */
  readonly credentials?: CredentialUse;
}

/** The wait after a 429 without a valid Retry-After, in seconds. */
const DEFAULT_RETRY_AFTER = 60;

/** The fault for a response that is not a success. */
export function faultFromStatus(
  status: number,
  headers: Headers,
  { upstream, resource, name, credentials }: RequestSubject,
  now: number = Date.now(),
): Fault {
  if (QUIRKS.missingOrPrivateStatuses.has(status)) {
    const known = credentials === undefined ? {} : { credentials };
    return new Fault({ kind: "upstream-denied", upstream, name, status, ...known });
  }
  if (status === 404) return new Fault({ kind: "not-found", what: resource, upstream, name });
  if (status === 429) {
    const after = retryAfter(headers.get("retry-after"), now) ?? DEFAULT_RETRY_AFTER;
    return new Fault({ kind: "upstream-rate-limited", upstream, retryAfter: after });
  }
  if (status === 416) {
    const size = /^bytes \*\/(\d{1,15})$/.exec(headers.get("content-range") ?? "")?.[1];
    return new Fault({
      kind: "invalid-range",
      reason: `${upstream} does not have these bytes of ${name}`,
      ...(size === undefined ? {} : { size: Number(size) }),
    });
  }
  return new Fault({ kind: "upstream-failed", upstream, status });
}
