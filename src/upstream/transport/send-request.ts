import type { BodyReader } from "../http1/get.ts";
import type { DialMethod, RequestKind } from "../observer.ts";
import { QUIRKS } from "../quirks.ts";
import { type CheckedAddress, isIpLiteral, withAddress } from "./address.ts";
import type { ConnectionPool, ConnectionTarget } from "./connection-pools.ts";
import { exchangeCause, lookupCause } from "./local-limits.ts";
import { proxyFault } from "./network-fault.ts";

/** No compression: a digest is of the bytes as they are stored. */
const FIXED_HEADERS = { "accept-encoding": "identity", "user-agent": "entrepot" } as const;

export interface OutgoingRequest extends ConnectionTarget {
  /** For metrics, and for how the body is read. */
  readonly kind: RequestKind;
  readonly method: DialMethod;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Whether each chunk of a blob is only used until the next one is read. By default, it is the reader's. */
  readonly lends?: boolean | undefined;
}

/** A response as it arrives. */
export interface RawResponse {
  readonly status: number;
  readonly headers: Headers;
  readonly body: BodyReader | undefined;
}

/**
 * Sends a request to an address that was checked, and waits for the headers of its response.
 *
 * The bodies of blobs are read at the pace at which they are written. `fetch`, which does everything else, is
 * ahead of its reader by up to two megabytes.
 *
 * @throws Error with the code of a socket, of TLS or of HTTP's syntax; the signal's reason if it is aborted
 */
export async function sendTo(
  address: CheckedAddress,
  pool: ConnectionPool,
  request: OutgoingRequest,
  signal: AbortSignal,
): Promise<RawResponse> {
  const { url, kind, method, lends } = request;
  if (kind !== "blob" || method !== "GET") {
    const options = { ...fetchOptions(request, signal), proxy: false } as const;
    return rawResponse(await pool.session.fetch(withAddress(url, address), options));
  }
  const endpoint = {
    ip: address.ip,
    port: portOf(url),
    host: isIpLiteral(url.hostname) ? address.ip : url.hostname,
  };
  const headers = headersOf(request);
  return pool.downloads.get({ endpoint, url, headers, signal, lends });
}

/**
 * Sends a request through a forward proxy, as `sendTo` does to an address.
 *
 * @throws Fault; the signal's reason if it is aborted
 */
export async function sendThroughProxy(
  proxy: URL,
  pool: ConnectionPool,
  request: OutgoingRequest,
  signal: AbortSignal,
): Promise<RawResponse> {
  const { upstream, url } = request;
  const from = request.proxy?.from ?? "";
  let response: Response;
  try {
    const target = new URL(url);
    [target.username, target.password, target.hash] = ["", "", ""];
    const options = { ...fetchOptions(request, signal), proxy: proxy.href };
    response = await pool.session.fetch(target, options);
  } catch (error) {
    signal.throwIfAborted();
    const isUnknown = error instanceof Error && "code" in error && error.code === "ENOTFOUND";
    const cause = isUnknown ? await lookupCause(error) : await exchangeCause(error);
    throw proxyFault(upstream, { proxy: proxy.host, from, host: url.host }, cause);
  }
  const isProxyOwn = response.status === 407 || response.headers.has(QUIRKS.proxyChallengeHeader);
  if (!isProxyOwn) return rawResponse(response);
  await response.body?.cancel();
  throw proxyFault(upstream, { proxy: proxy.host, from, host: url.host }, 407);
}

/** The port that a URL leads to. */
export function portOf(url: URL): number {
  return Number(url.port) || (url.protocol === "https:" ? 443 : 80);
}

function rawResponse({ status, headers, body }: Response): RawResponse {
  return { status, headers, body: body?.getReader() };
}

function fetchOptions(request: OutgoingRequest, signal: AbortSignal): BunFetchRequestInit {
  const { method, body } = request;
  return {
    method,
    headers: headersOf(request),
    redirect: "manual",
    decompress: false,
    signal,
    ...(body === undefined ? {} : { body }),
  };
}

function headersOf({ headers, url }: OutgoingRequest): Readonly<Record<string, string>> {
  return { ...headers, ...FIXED_HEADERS, host: url.host };
}
