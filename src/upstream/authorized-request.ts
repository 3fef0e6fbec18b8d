import type { Credentials, UpstreamSettings } from "../config/settings.ts";
import { type Challenge, parseChallenges } from "../oci/challenge.ts";
import { Fault, isUnsent } from "../oci/fault.ts";
import { parseRepositoryName, type RepositoryName } from "../oci/names.ts";
import { abortable } from "./transport/abortable.ts";
import { discard } from "./transport/response-body.ts";
import type { DialResponse } from "./transport/dialer.ts";
import { CredentialsRefused } from "./auth/keyring.ts";
import type { RequestKind } from "./observer.ts";
import type { Turns } from "./rates/turns.ts";
import type { RegistryTransport } from "./registry-transport.ts";
import type { Authorization } from "./auth/token-cache.ts";
import type { TokenSubject } from "./auth/token-request.ts";

/**
 * Challenges that are met for one request. More than one occurs if the cached token is refused, and so
 * is the one by which a concurrent request has replaced it.
 */
const MAX_CHALLENGES = 3;

/** Refusals of credentials after which a request is sent anonymously: the current ones and newer ones. */
const MAX_REFUSALS = 2;

/** What one host is asked: the registry, or one that it redirects to. */
export interface HopRequest {
  /** For metrics. */
  readonly kind: Exclude<RequestKind, "token" | "probe">;
  readonly method: "GET" | "HEAD";
  readonly repository: RepositoryName;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
  /** See `DialRequest`. */
  readonly turns?: Turns | undefined;
  /** See `OutgoingRequest`. */
  readonly lends?: boolean | undefined;
}

/** One host's response. Refused credentials are replaced by newer ones, or left out. */
export async function sendWithCredentials(
  settings: UpstreamSettings,
  transport: RegistryTransport,
  request: HopRequest,
  url: URL,
): Promise<DialResponse> {
  // Credentials are for the upstream's own origin. They do not follow a redirect to another one.
  const isOwnOrigin = url.origin === settings.url.origin;
  let credentials = isOwnOrigin
    ? await abortable(transport.keyring.current(settings, request.repository), request.signal)
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

/**
 * One host's response with these credentials. Its challenge is met if possible.
 *
 * A refused token that cannot be replaced is left out once: what a registry answers to it may lead
 * nowhere, while it names the right realm to a request without a token. See quirks.ts.
 */
async function sendAuthorized(
  settings: UpstreamSettings,
  transport: RegistryTransport,
  request: HopRequest,
  url: URL,
  credentials: Credentials | undefined,
): Promise<DialResponse> {
  const { tokens, keyring } = transport;
  const subject = { ...tokenSubject(settings, request, url), credentials };
  let authorization: Authorization | undefined = tokens.cached(subject);
  let wasLeftOut = false;
  for (let challenges = 0; ; challenges += 1) {
    wasLeftOut ||= authorization === undefined;
    const header = authorization?.header;
    const response = await transport.dialer.dial({
      upstream: settings.name,
      allowPrivate: settings.allowPrivate,
      redirectedFrom: url.origin === settings.url.origin ? undefined : settings.url.hostname,
      kind: request.kind,
      method: request.method,
      url,
      headers: { ...request.headers, ...(header === undefined ? {} : { authorization: header }) },
      signal: request.signal,
      turns: request.turns,
      lends: request.lends,
      ca: settings.ca,
      client: subject.client,
      proxy: settings.proxy,
    });
    if (!isRefused(response, authorization)) {
      const isAccepted = response.status < 400 && authorization !== undefined;
      if (isAccepted && credentials) keyring.accepted(settings.name, credentials);
      return response;
    }
    if (authorization) tokens.forget(subject, authorization);
    const offered = parseChallenges(response.headers.get("www-authenticate"));
    const isSameScheme = offered.some(({ scheme }) => scheme === authorization?.scheme);
    if (credentials && authorization?.scheme === "basic" && isSameScheme) {
      await discard(response.body);
      throw new CredentialsRefused(401, url.host);
    }
    // A new token would be refused like this one. One of another scheme is not what is usually wanted.
    const isUseless = authorization !== undefined && (authorization.isFresh || !isSameScheme);
    const isLast = challenges >= MAX_CHALLENGES || offered.length === 0;
    if ((isUseless || isLast) && wasLeftOut) return response;
    // A permit allows one connection at a time: this response ends before the token request.
    await discard(response.body);
    const next = isUseless || isLast ? undefined : await meet(offered);
    if (wasLeftOut && (!next || next.header === header)) return { ...response, body: undefined };
    authorization = next?.header === header ? undefined : next;
  }

  async function meet(offered: readonly Challenge[]): Promise<Authorization | undefined> {
    try {
      return await tokens.authorize(subject, offered, request.signal);
    } catch (error) {
      if (wasLeftOut || request.signal?.aborted || isBusy(error)) throw error;
      return undefined;
    }
  }
}

/** A 403 is about the repository, unless the token is an old one: some registries refuse that with it. */
function isRefused({ status }: DialResponse, authorization: Authorization | undefined): boolean {
  if (status === 401) return true;
  return status === 403 && authorization?.scheme === "bearer" && !authorization.isFresh;
}

/**
 * Whether the token endpoint only has no time now, or this machine has no means to ask it: asking again would
 * add to that, and without a token the registry would refuse what it grants.
 */
function isBusy(error: unknown): boolean {
  return (
    error instanceof Fault && (error.detail.kind === "upstream-rate-limited" || isUnsent(error))
  );
}

/**
 * What a token for this URL is for. Tokens belong to an origin. The host at the end of a redirect gets a
 * token of its own, for the repository in its own path (reg.kyverno.io redirects to ghcr.io). The client
 * certificate is for the upstream's own origin alone.
 */
function tokenSubject(settings: UpstreamSettings, request: HopRequest, url: URL): TokenSubject {
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
