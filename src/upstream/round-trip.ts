import type { Credentials, UpstreamSettings } from "../config/settings.ts";
import { parseChallenge } from "../oci/challenge.ts";
import { Fault } from "../oci/fault.ts";
import { parseRepositoryName, type RepositoryName } from "../oci/names.ts";
import { abortable } from "./transport/abortable.ts";
import { discard, timeoutFault } from "./transport/response-body.ts";
import type { DialResponse } from "./transport/dialer.ts";
import { CredentialsRefused } from "./auth/keyring.ts";
import type { RequestKind } from "./observer.ts";
import { QUIRKS } from "./quirks.ts";
import type { RegistryTransport } from "./registry-transport.ts";
import type { PermitKind, ReleasePermit } from "./transport/concurrency-limiter.ts";
import type { TokenSubject } from "./auth/token-cache.ts";

const MAX_REDIRECTS = 5;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/**
 * Challenges that are met for one request. More than one occurs if the cached token is refused, and so
 * is the one by which a concurrent request has replaced it.
 */
const MAX_CHALLENGES = 3;

/** Refusals of credentials after which a request is sent anonymously: the current ones and newer ones. */
const MAX_REFUSALS = 2;

/** How often the registry is asked for a new signed URL within one request. */
const MAX_RENEWALS = 2;

export interface RegistryRequest {
  /** For metrics. */
  readonly kind: Exclude<RequestKind, "token" | "probe">;
  /** `blob` if the response may be large. */
  readonly permit: PermitKind;
  readonly method: "GET" | "HEAD";
  /** At the upstream's own registry or a mirror. */
  readonly url: URL;
  readonly repository: RepositoryName;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
  /**
   * Called before each URL is requested, those of redirects included. What it throws ends the request.
   */
  readonly onHop?: (url: URL) => void;
}

/**
 * Sends a request to a registry and does everything that it takes to get the response: waits for a
 * concurrency permit, meets challenges, follows redirects. The permit is held until the response's body
 * has ended, so the body must be read to its end or cancelled. Resolves or rejects within the transport's
 * timeout.
 *
 * @returns the response of the last host, whatever its status, but never a redirect
 * @throws Fault; the signal's reason if the caller aborted
 */
export async function roundTrip(
  settings: UpstreamSettings,
  transport: RegistryTransport,
  request: RegistryRequest,
): Promise<DialResponse> {
  const { permit, signal } = request;
  const controller = new AbortController();
  const onAbort = (): void => controller.abort(signal?.reason);
  signal?.throwIfAborted();
  signal?.addEventListener("abort", onAbort, { once: true });
  // The dialer limits the time of each hop. Five redirects with tokens in between need a limit as well.
  const timer = setTimeout(() => {
    controller.abort(timeoutFault(settings.name, "respond", transport.timeout));
  }, transport.timeout);
  let release: ReleasePermit | undefined;
  const onEnd = (): void => {
    signal?.removeEventListener("abort", onAbort);
    release?.();
  };
  try {
    const limit = permit === "blob" ? { perUpstream: settings.maxConnections } : {};
    const options = { ...limit, signal: controller.signal };
    release = await transport.limiter.acquire(permit, settings.name, options);
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
  for (let renewals = 0; ; renewals += 1) {
    const { response, url } = await followRedirects(settings, transport, request);
    if (!isRefusedSignature(request, url, response)) return response;
    await discard(response.body);
    if (renewals < MAX_RENEWALS) continue;
    // The registry allowed the request: the status does not mean that the blob is missing or private.
    const { status } = response;
    const at = url.host;
    throw new Fault({ kind: "upstream-failed", upstream: settings.name, status, at });
  }
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
    request.onHop?.(url);
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

/** One host's response. Refused credentials are replaced by newer ones, or left out. */
async function sendWithCredentials(
  settings: UpstreamSettings,
  transport: RegistryTransport,
  request: RegistryRequest,
  url: URL,
): Promise<DialResponse> {
  // Credentials are for the upstream's own origin. They do not follow a redirect to another one.
  const isOwnOrigin = url.origin === settings.url.origin;
  let credentials = isOwnOrigin
    ? await abortable(transport.keyring.current(settings), request.signal)
    : undefined;
  for (let refusals = 0; ; refusals += 1) {
    try {
      return await sendAuthorized(settings, transport, request, url, credentials);
    } catch (error) {
      if (!(error instanceof CredentialsRefused) || !credentials) throw error;
      const next = transport.keyring.refused(settings, credentials, error);
      credentials = refusals < MAX_REFUSALS ? await abortable(next, request.signal) : undefined;
    }
  }
}

/** One host's response with these credentials. Its challenge is met if possible. */
async function sendAuthorized(
  settings: UpstreamSettings,
  transport: RegistryTransport,
  request: RegistryRequest,
  url: URL,
  credentials: Credentials | undefined,
): Promise<DialResponse> {
  const subject = { ...tokenSubject(settings, request, url), credentials };
  let authorization = transport.tokens.cached(subject);
  let isFresh = false;
  for (let challenges = 0; ; challenges += 1) {
    const response = await transport.dialer.dial({
      upstream: settings.name,
      allowPrivate: settings.allowPrivate,
      redirectedFrom: url.origin === settings.url.origin ? undefined : settings.url.hostname,
      kind: request.kind,
      method: request.method,
      url,
      headers: { ...request.headers, ...(authorization === undefined ? {} : { authorization }) },
      signal: request.signal,
      ca: settings.ca,
      client: subject.client,
      proxy: settings.proxy,
    });
    if (response.status !== 401) {
      const isAccepted = response.status < 400 && authorization !== undefined;
      if (isAccepted && credentials) transport.keyring.accepted(settings.name, credentials);
      return response;
    }
    const challenge = parseChallenge(response.headers.get("www-authenticate"));
    if (credentials && challenge?.scheme === "basic" && authorization !== undefined) {
      await discard(response.body);
      transport.tokens.forget(subject);
      throw new CredentialsRefused(401, url.host);
    }
    if (!challenge || isFresh || challenges === MAX_CHALLENGES) return response;
    // A permit allows one connection at a time: this response ends before the token request.
    await discard(response.body);
    const next = await transport.tokens.authorize(
      subject,
      challenge,
      authorization,
      request.signal,
    );
    if (!next || next.header === authorization) return { ...response, body: undefined };
    authorization = next.header;
    isFresh = next.isFresh;
  }
}

/**
 * What a token for this URL is for. Tokens belong to an origin. The host at the end of a redirect gets a
 * token of its own, for the repository in its own path (reg.kyverno.io redirects to ghcr.io). The client
 * certificate is for the upstream's own origin alone.
 */
function tokenSubject(
  settings: UpstreamSettings,
  request: RegistryRequest,
  url: URL,
): TokenSubject {
  const isOwnOrigin = url.origin === settings.url.origin;
  const match = /\/v2\/(.{1,255})\/(?:manifests|blobs|tags|referrers)\/[^/]+$/.exec(url.pathname);
  // Below a mirror's path, or after a redirect, the repository's name may differ.
  const repository = parseRepositoryName(match?.[1] ?? "");
  return {
    upstream: settings,
    registry: new URL(url.origin),
    repository: repository ?? request.repository,
    client: isOwnOrigin ? settings.client : undefined,
  };
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
