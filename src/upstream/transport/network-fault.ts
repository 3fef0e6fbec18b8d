import { Fault } from "../../oci/fault.ts";

/**
 * What a failed `fetch` means, for a reader. Only its code is used: Bun's own message has the whole
 * address in it, and a signed one is a secret.
 */
export function networkFault(upstream: string, host: string, cause: unknown): Fault {
  if (cause instanceof Fault) return cause;
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  if (UNTRUE.has(code)) {
    return new Fault({
      kind: "upstream-invalid-response",
      upstream,
      reason: `${host} does not speak HTTP as it should (${code})`,
    });
  }
  return new Fault({ kind: "upstream-unreachable", upstream, reason: reason(host, code) });
}

/**
 * What a request through a proxy failed of.
 *
 * @param cause what was thrown, or 407 where the proxy wants other credentials
 */
export function proxyFault(
  upstream: string,
  { proxy, from, host }: { proxy: string; from: string; host: string },
  cause: unknown,
): Fault {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  const status = cause === 407 ? "407" : /: (\d{3})\b/.exec(String(cause))?.[1];
  const name = `the proxy ${proxy}${from === "" ? "" : ` (${from})`}`;
  const because = (text: string): Fault =>
    new Fault({ kind: "upstream-unreachable", upstream, reason: `${name} ${text}` });
  if (code === "ERR_PROXY_TUNNEL" || cause === 407) {
    const advice =
      status === "407" || status === "401"
        ? "check the user and password in its address"
        : "see its rules";
    return because(`refuses to lead to ${host} (${status ?? "no status"}): ${advice}`);
  }
  if (code === "ECONNREFUSED") return because("refuses connections: is it running?");
  if (code === "ENOTFOUND") return because("has no address in DNS");
  return networkFault(upstream, host, cause);
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
