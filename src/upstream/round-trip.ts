import type { UpstreamSettings } from "../config/settings.ts";
import { Fault } from "../oci/fault.ts";
import { bareMediaType } from "../oci/media-types.ts";
import { type HopRequest, sendWithCredentials } from "./authorized-request.ts";
import type { HeldPermit } from "./transport/held-permit.ts";
import type { KnownRedirect } from "./known-redirect.ts";
import { discard, timeoutFault } from "./transport/response-body.ts";
import type { DialResponse } from "./transport/dialer.ts";
import { QUIRKS } from "./quirks.ts";
import type { RegistryTransport } from "./registry-transport.ts";
import type { PermitKind, ReleasePermit } from "./transport/concurrency-limiter.ts";

const MAX_REDIRECTS = 5;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** How long a download waits for its place, in milliseconds. With what is left then, below 20 s. */
const PLACE_MS = 14_000;
/** How long a registry may take in any case to respond, however long its request has waited, in milliseconds. */
const MIN_RESPONSE_MS = 4000;

/** How often the registry is asked for a new signed URL within one request. */
const MAX_RENEWALS = 2;

export interface RegistryRequest extends HopRequest {
  /** `blob` if the response may be large. */
  readonly permit: PermitKind;
  /** At the upstream's own registry or a mirror. */
  readonly url: URL;
  /**
   * Called before each URL is requested, those of redirects included: these are answers of the host before.
   * What it throws ends the request.
   */
  readonly onHop?: (url: URL, hop: { readonly isRedirect: boolean }) => void;
  /** Where an earlier request for the same was redirected to. */
  readonly redirect?: KnownRedirect | undefined;
  /** The place of a download among all, which it keeps between its requests. */
  readonly place?: HeldPermit | undefined;
}

/**
 * Sends a request to a registry and does everything that it takes to get the response: waits for a
 * concurrency permit, meets challenges, follows redirects. The permit is held until the response's body
 * has ended, so the body must be read to its end or cancelled. Resolves or rejects within the transport's
 * timeout, or soon after a long wait for a permit.
 *
 * @returns the response of the last host, whatever its status, but never a redirect
 * @throws Fault; the signal's reason if the caller aborted
 */
export async function roundTrip(
  settings: UpstreamSettings,
  transport: RegistryTransport,
  request: RegistryRequest,
): Promise<DialResponse> {
  const { permit, signal, place } = request;
  const controller = new AbortController();
  const onAbort = (): void => controller.abort(signal?.reason);
  signal?.throwIfAborted();
  signal?.addEventListener("abort", onAbort, { once: true });
  const startedAt = performance.now();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let release: ReleasePermit | undefined;
  const onEnd = (): void => {
    signal?.removeEventListener("abort", onAbort);
    if (release && place) place.keep(release);
    else release?.();
  };
  try {
    const perUpstream = transport.connections(settings);
    const limits = permit === "blob" ? { perUpstream, timeout: PLACE_MS } : {};
    const options = { ...limits, signal: controller.signal };
    const acquire = (): Promise<ReleasePermit> =>
      transport.limiter.acquire(permit, settings.name, options);
    release = await (place ? place.take(acquire) : acquire());
    // The dialer limits the time of each hop. Five redirects with tokens in between need a limit as well.
    const left = transport.timeout - (performance.now() - startedAt);
    const timeout = Math.max(left, Math.min(MIN_RESPONSE_MS, transport.timeout));
    timer = setTimeout(() => {
      const shown = Math.min(transport.timeout, Math.ceil(timeout / 100) * 100);
      controller.abort(timeoutFault(settings.name, "respond", shown));
    }, timeout);
    const response = await sendRenewingSignature(settings, transport, {
      ...request,
      signal: controller.signal,
    });
    void response.ended.then(onEnd);
    return response;
  } catch (error) {
    onEnd();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/**
 * The response at the end of all redirects. Where a storage refuses a signed URL, the registry is asked
 * for a new one: see `QUIRKS.expiredSignatureStatuses`.
 */
async function sendRenewingSignature(
  settings: UpstreamSettings,
  transport: RegistryTransport,
  request: RegistryRequest,
): Promise<DialResponse> {
  const { redirect } = request;
  const known = redirect?.of(request.url);
  if (redirect && known && known.href !== request.url.href) {
    // Whatever goes wrong there: the registry knows a better place, or says what is wrong.
    const response = await sendTo(known).catch(() => undefined);
    if (response && response.status < 300 && !isWebPage(response)) return response;
    redirect.forget();
    request.signal?.throwIfAborted();
    if (response) await discard(response.body);
  }
  for (let renewals = 0; ; renewals += 1) {
    const { response, url } = await followRedirects(settings, transport, request);
    if (!isRefusedSignature(request, url, response)) {
      if (response.status < 300) redirect?.remember(request.url, url);
      return response;
    }
    await discard(response.body);
    if (renewals < MAX_RENEWALS) continue;
    // The registry allowed the request: the status does not mean that the blob is missing or private.
    const { status } = response;
    const at = url.host;
    throw new Fault({ kind: "upstream-failed", upstream: settings.name, status, at });
  }

  async function sendTo(url: URL): Promise<DialResponse> {
    request.onHop?.(url, { isRedirect: false });
    return sendWithCredentials(settings, transport, request, url);
  }
}

/** Some storages refuse a URL with a page that says so, and with status 200. */
function isWebPage({ headers }: DialResponse): boolean {
  return bareMediaType(headers.get("content-type")) === QUIRKS.webPageMediaType;
}

function isRefusedSignature(request: RegistryRequest, url: URL, { status }: DialResponse): boolean {
  if (request.kind !== "blob" || url.href === request.url.href) return false;
  return url.search !== "" && QUIRKS.expiredSignatureStatuses.has(status);
}

async function followRedirects(
  settings: UpstreamSettings,
  transport: RegistryTransport,
  request: RegistryRequest,
): Promise<{ readonly response: DialResponse; readonly url: URL }> {
  const visited = new Set<string>();
  let { url } = request;
  for (;;) {
    visited.add(url.href);
    request.onHop?.(url, { isRedirect: visited.size > 1 });
    const response = await sendWithCredentials(settings, transport, request, url);
    if (!REDIRECTS.has(response.status)) return { response, url };
    await discard(response.body);
    const next = redirectTarget(settings, url, response.headers.get("location"));
    if (visited.has(next.href)) {
      throw invalidResponse(settings, `${url.host} redirects in a loop`);
    }
    if (visited.size > MAX_REDIRECTS) {
      throw invalidResponse(settings, `more than ${MAX_REDIRECTS} redirects`);
    }
    url = next;
  }
}

function redirectTarget(settings: UpstreamSettings, from: URL, location: string | null): URL {
  const target = location === null ? null : URL.parse(location, from.href);
  if (!target || !/^https?:$/.test(target.protocol)) {
    throw invalidResponse(settings, `${from.host} redirects without a valid Location`);
  }
  if (from.protocol === "https:" && target.protocol === "http:") {
    throw invalidResponse(settings, `${from.host} redirects from https to http`);
  }
  // A fragment is never sent, and would hide a redirect loop.
  target.hash = "";
  return target;
}

function invalidResponse(settings: UpstreamSettings, reason: string): Fault {
  return new Fault({ kind: "upstream-invalid-response", upstream: settings.name, reason });
}
