import { timingSafeEqual } from "node:crypto";
import ipaddr from "ipaddr.js";

export interface GuardOptions {
  /** What has to be shown; absent where the port is this machine's own. */
  readonly token?: string;
  /** The host that is listened at. */
  readonly host: string;
}

/**
 * Why a request to the admin port is refused; undefined where it is not.
 *
 * A browser on this machine may be made to send requests here by any page that it shows. A page's
 * own name that leads to 127.0.0.1 (DNS rebinding) shows in `Host`, and requests from other origins
 * in `Origin` and `Sec-Fetch-Site`.
 */
export function rejectReason(
  request: Request,
  { token, host }: GuardOptions,
): Response | undefined {
  const asked = request.headers.get("host") ?? "";
  if (token === undefined && !isOwnName(asked, host)) {
    return refuse(421, `the admin port is not called ${JSON.stringify(asked.slice(0, 100))}`);
  }
  const origin = request.headers.get("origin");
  if (origin !== null && URL.parse(origin)?.host !== asked) {
    return refuse(403, "requests from pages of other origins are not answered");
  }
  if (request.headers.get("sec-fetch-site") === "cross-site") {
    return refuse(403, "requests from pages of other sites are not answered");
  }
  if (token === undefined) return undefined;
  const shown = /^bearer\s+(\S+)$/i.exec(request.headers.get("authorization") ?? "")?.[1];
  if (shown !== undefined && isSame(shown, token)) return undefined;
  return refuse(401, "send the token: Authorization: Bearer …", { "www-authenticate": "Bearer" });
}

/** Hashes are compared, in a time that tells nothing of where two tokens differ, nor of their length. */
function isSame(one: string, other: string): boolean {
  const hash = (text: string): Uint8Array => new Bun.CryptoHasher("sha256").update(text).digest();
  return timingSafeEqual(hash(one), hash(other));
}

function isOwnName(asked: string, host: string): boolean {
  const name = asked
    .replace(/:\d+$/, "")
    .replace(/^\[|\]$/g, "")
    .toLowerCase();
  if (name === "localhost" || name === host) return true;
  return ipaddr.isValid(name) && ipaddr.process(name).range() === "loopback";
}

function refuse(status: number, message: string, headers: Record<string, string> = {}): Response {
  return Response.json({ error: message }, { status, headers });
}
