import { timingSafeEqual } from "node:crypto";
import ipaddr from "ipaddr.js";

export interface GuardOptions {
  /** The bearer token that requests must send; absent only on a loopback address. */
  readonly token?: string;
  /** The host of the address at which the port listens. */
  readonly host: string;
}

/**
 * The response that refuses a request to the admin port; `undefined` if the request is allowed.
 *
 * Any page that a browser on this machine opens can send requests to a loopback port. A page whose
 * own name resolves to 127.0.0.1 (DNS rebinding) is recognised by `Host`, and requests from other
 * origins (CSRF) by `Origin` and `Sec-Fetch-Site`.
 */
export function rejectReason(
  request: Request,
  { token, host }: GuardOptions,
): Response | undefined {
  const requestedHost = request.headers.get("host") ?? "";
  if (token === undefined && !isOwnName(requestedHost, host)) {
    const shown = JSON.stringify(requestedHost.slice(0, 100));
    return refuse(421, `${shown} is not a name of the admin port: use its address or localhost`);
  }
  const origin = request.headers.get("origin");
  if (origin !== null && URL.parse(origin)?.host !== requestedHost) {
    return refuse(403, "requests from pages of other origins are refused");
  }
  if (request.headers.get("sec-fetch-site") === "cross-site") {
    return refuse(403, "requests from pages of other sites are refused");
  }
  if (token === undefined) return undefined;
  const sent = /^bearer\s+(\S+)$/i.exec(request.headers.get("authorization") ?? "")?.[1];
  if (sent !== undefined && isEqual(sent, token)) return undefined;
  return refuse(401, "send the admin token: Authorization: Bearer …", {
    "www-authenticate": "Bearer",
  });
}

/** Compares hashes in constant time, so that timing reveals neither where tokens differ nor their length. */
function isEqual(one: string, other: string): boolean {
  const hash = (text: string): Uint8Array => new Bun.CryptoHasher("sha256").update(text).digest();
  return timingSafeEqual(hash(one), hash(other));
}

function isOwnName(requestedHost: string, host: string): boolean {
  const name = requestedHost
    .replace(/:\d+$/, "")
    .replace(/^\[|\]$/g, "")
    .toLowerCase();
  if (name === "localhost" || name === host) return true;
  return ipaddr.isValid(name) && ipaddr.process(name).range() === "loopback";
}

function refuse(status: number, message: string, headers: Record<string, string> = {}): Response {
  return Response.json({ error: message }, { status, headers });
}
