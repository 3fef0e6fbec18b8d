import { Fault } from "../../../oci/fault.ts";
import type { ReceivedRequest } from "../incoming-request.ts";

/** Of every challenge: the whole cache is one protection space (RFC 9110 section 11.5). */
const REALM = "entrepot";

/** A host with an optional port, as in a URL. What else a client sends becomes part of no header. */
const HOST = /^(?:[\w.-]+|\[[\da-fA-F:.]+\])(?::\d{1,5})?$/;

/**
 * Asks for Basic credentials, which containerd then has of the pod (RFC 7617). It is told nothing of
 * tokens, since it would prefer one, and take a round trip for each repository to get it.
 */
export function basicChallenge(): string {
  return `Basic realm="${REALM}", charset="UTF-8"`;
}

/**
 * Offers a token too (distribution's token specification), which Docker takes without any credentials. For
 * a client that asks at `/v2/` what is wanted, or had a token that is accepted no more.
 *
 * @param error of RFC 6750 section 3.1
 */
export function tokenChallenge(request: ReceivedRequest, error?: "invalid_token"): string {
  const realm = tokenEndpoint(request);
  if (realm === undefined) return basicChallenge();
  const suffix = error === undefined ? "" : `,error="${error}"`;
  return `Bearer realm="${realm}",service="${REALM}"${suffix}, ${basicChallenge()}`;
}

/** Where the client reaches the token endpoint: by the name and the scheme by which it reached this one. */
function tokenEndpoint({ url, headers }: ReceivedRequest): string | undefined {
  const parsed = URL.parse(url);
  const host = headers.get("host") ?? parsed?.host ?? "";
  if (!HOST.test(host)) return undefined;
  // A proxy in front that ends TLS says so. A client that says it fools itself alone.
  const forwarded = headers.get("x-forwarded-proto");
  const own = parsed?.protocol === "https:" ? "https" : "http";
  const scheme = forwarded === "https" || forwarded === "http" ? forwarded : own;
  const prefix = parsed?.pathname.match(/^(.*?)\/v2(?:\/|$)/)?.[1] ?? "";
  return /^[\w./~-]*$/.test(prefix) ? `${scheme}://${host}${prefix}/v2/token` : undefined;
}

/** Whether a request presents a token, rather than what one is given for. */
export function presentsToken({ headers }: ReceivedRequest): boolean {
  return /^bearer /i.test(headers.get("authorization") ?? "");
}

/**
 * The fault of a request that has to present something else, in the way in which it does.
 *
 * @param options.cause for the log alone
 * @param options.isAnonymous whether it presents nothing
 */
export function unauthorized(
  reason: string,
  request: ReceivedRequest,
  { cause, isAnonymous = false }: { readonly cause?: string; readonly isAnonymous?: boolean } = {},
): Fault {
  const isToken = presentsToken(request);
  const challenge = isToken ? tokenChallenge(request, "invalid_token") : basicChallenge();
  return new Fault({ kind: "unauthorized", reason, challenge, isAnonymous }, { cause });
}
