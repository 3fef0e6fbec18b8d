import { Fault } from "../../oci/fault.ts";
import { localLimitFault } from "./local-limits.ts";

/**
 * The fault for an error of `fetch`. Only the error's code is used: Bun's own message contains the
 * complete URL, and a signed URL is a secret.
 */
export function networkFault(upstream: string, host: string, cause: unknown): Fault {
  if (cause instanceof Fault) return cause;
  const local = localLimitFault(upstream, cause);
  if (local) return local;
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  if (INVALID_HTTP_CODES.has(code)) {
    return new Fault({
      kind: "upstream-invalid-response",
      upstream,
      reason: `${host} does not send valid HTTP (${code})`,
    });
  }
  return new Fault({ kind: "upstream-unreachable", upstream, reason: reasonFor(host, code) });
}

/**
 * The fault for a request through a forward proxy.
 *
 * @param from where the proxy is configured; empty where that is unknown
 * @param cause what was thrown, or 407 if the proxy refuses the credentials
 */
export function proxyFault(
  upstream: string,
  { proxy, from, host }: { proxy: string; from: string; host: string },
  cause: unknown,
): Fault {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  const status = cause === 407 ? "407" : /: (\d{3})\b/.exec(String(cause))?.[1];
  const name = `the proxy ${proxy}${from === "" ? "" : ` (${from})`}`;
  const unreachable = (text: string): Fault =>
    new Fault({ kind: "upstream-unreachable", upstream, reason: `${name} ${text}` });
  if (code === "ERR_PROXY_TUNNEL" || cause === 407) {
    const advice =
      status === "407" || status === "401"
        ? "check the user and password in its URL"
        : "check its access rules";
    return unreachable(`refuses to connect to ${host} (${status ?? "no status"}): ${advice}`);
  }
  if (code === "ECONNREFUSED") return unreachable("refuses connections: is it running?");
  if (code === "ENOTFOUND") return unreachable("has no address in DNS");
  return networkFault(upstream, host, cause);
}

/** Error codes of Bun for responses that are not valid HTTP. */
const INVALID_HTTP_CODES = new Set([
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
  EAFNOSUPPORT: "cannot be routed to from this machine",
  EHOSTUNREACH: "cannot be routed to from this machine",
  ENETUNREACH: "cannot be routed to from this machine",
  ETIMEDOUT: "does not accept connections in time",
  EPROTO: "does not speak TLS on this port",
  ERR_TLS_CERT_ALTNAME_INVALID: "presents a certificate for another name",
  CERT_HAS_EXPIRED: "presents an expired certificate",
  CERT_NOT_YET_VALID: "presents a certificate that is not valid yet: is the clock right?",
};

const UNTRUSTED = /SELF_SIGNED|UNABLE_TO_(?:GET_ISSUER|VERIFY)|CERT_UNTRUSTED|CERT_CHAIN/;

function reasonFor(host: string, code: string): string {
  const known = REASONS[code];
  if (known !== undefined) return `${host} ${known}`;
  if (UNTRUSTED.test(code)) {
    return `${host} presents a certificate of a CA that is not trusted here (${code})`;
  }
  return `the request to ${host} failed (${code || "no code"})`;
}
