import { Fault } from "../oci/fault.ts";

/**
 * What a failed `fetch` means, for a reader. Only its code is used: Bun's own message has the whole
 * address in it, and a signed one is a secret.
 */
export function networkFault(upstream: string, host: string, cause: unknown): Fault {
  if (cause instanceof Fault) return cause;
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  if (UNTRUE.has(code)) {
    return new Fault({
      kind: "upstream-untrue",
      upstream,
      reason: `${host} does not speak HTTP as it should (${code})`,
    });
  }
  return new Fault({ kind: "upstream-unreachable", upstream, reason: reason(host, code) });
}

/** Codes of answers that are no proper HTTP. */
const UNTRUE = new Set([
  "InvalidContentLength",
  "InvalidHTTPResponse",
  "Malformed_HTTP_Response",
  "ResponseHeadersTooLarge",
  "UnsupportedTransferEncoding",
]);

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "refuses connections",
  ECONNRESET: "closed the connection",
  EPIPE: "closed the connection",
  EHOSTUNREACH: "has no route to it from here",
  ENETUNREACH: "has no route to it from here",
  ETIMEDOUT: "does not answer connections",
  EPROTO: "does not speak TLS on this port",
  ERR_TLS_CERT_ALTNAME_INVALID: "shows a certificate for another name",
  CERT_HAS_EXPIRED: "shows an expired certificate",
  CERT_NOT_YET_VALID: "shows a certificate that is not valid yet: is the clock right?",
};

const UNTRUSTED = /SELF_SIGNED|UNABLE_TO_(?:GET_ISSUER|VERIFY)|CERT_UNTRUSTED|CERT_CHAIN/;

function reason(host: string, code: string): string {
  const known = REASONS[code];
  if (known !== undefined) return `${host} ${known}`;
  if (UNTRUSTED.test(code)) {
    return `${host} shows a certificate of an authority that is not trusted here (${code})`;
  }
  return `the request to ${host} failed (${code || "no code"})`;
}
