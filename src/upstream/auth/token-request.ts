import { IDENTITY_TOKEN_USER } from "../../config/upstreams/docker-config.ts";
import type { Credentials, Identity, UpstreamSettings } from "../../config/settings.ts";
import type { BearerChallenge } from "../../oci/challenge.ts";
import { Fault } from "../../oci/fault.ts";
import { isComplete } from "../transport/content-range.ts";
import { decoded } from "../transport/decoded.ts";
import { discard, readBody } from "../transport/response-body.ts";
import type { DialResponse, Dialer, DialRequest } from "../transport/dialer.ts";
import { parseObject } from "../../oci/json-object.ts";
import { QUIRKS } from "../quirks.ts";
import { CredentialsRefused } from "./keyring.ts";
import { realmProblem, redirectProblem, overHttps } from "./realm.ts";
import { faultFromStatus } from "../transport/status-fault.ts";

/** The lifetime of a token without `expires_in`, in seconds (distribution's token specification). */
const DEFAULT_LIFETIME = 60;
const MAX_REDIRECTS = 3;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** What an authorization is for. */
export interface TokenSubject {
  readonly upstream: UpstreamSettings;
  /** The registry that the request goes to: the upstream's own, or one that it redirected to. */
  readonly registry: URL;
  /** The repository's name at that registry. */
  readonly repository: string;
  /** The upstream's credentials, and only if the registry is its own. */
  readonly credentials?: Credentials | undefined;
  /** The client certificate for token endpoints on the registry's own host. */
  readonly client?: Identity | undefined;
}

export interface Token {
  readonly token: string;
  /** In seconds. */
  readonly lifetime: number;
}

/**
 * Requests a token from the realm of a challenge, and follows redirects that stay on its host. Credentials
 * are sent over http only once the endpoint has shown, without them, that it does not redirect to https.
 *
 * @throws Fault; CredentialsRefused
 */
export async function requestToken(
  dialer: Dialer,
  subject: TokenSubject,
  challenge: BearerChallenge,
): Promise<Token> {
  const { upstream, registry, client, credentials } = subject;
  let realm = parseRealm(subject, challenge.realm);
  let redirects = 0;
  let mayRedirectToHttps = realm.protocol === "http:";
  for (;;) {
    const isWithheld = mayRedirectToHttps && credentials !== undefined;
    const asked = isWithheld ? { ...subject, credentials: undefined } : subject;
    const response = await dialer.dial({
      upstream: upstream.name,
      allowPrivate: upstream.allowPrivate,
      redirectedFrom: realm.hostname === upstream.url.hostname ? undefined : upstream.url.hostname,
      kind: "token",
      ...tokenRequest(asked, challenge, realm),
      ca: upstream.ca,
      client: realm.hostname === registry.hostname ? client : undefined,
      proxy: upstream.proxy,
    });
    if (REDIRECTS.has(response.status)) {
      await discard(response.body);
      redirects += 1;
      realm = redirectTarget(subject, realm, response.headers.get("location"), redirects);
      mayRedirectToHttps = realm.protocol === "http:";
      continue;
    }
    // It was asked in the hope of a redirect to https: see overHttps.
    const { trustedRealms } = upstream;
    const problem = realmProblem(realm, registry, trustedRealms, credentials !== undefined);
    if (!isWithheld && problem === undefined) return readToken(subject, response);
    await discard(response.body);
    if (problem !== undefined) throw refused(subject, realm, problem);
    mayRedirectToHttps = false;
  }
}

/** Where a token endpoint redirects to, if a token is requested there. */
function redirectTarget(
  subject: TokenSubject,
  from: URL,
  location: string | null,
  redirects: number,
): URL {
  const { upstream, registry, credentials } = subject;
  const endpoint = endpointOf(subject);
  const target = location === null ? null : URL.parse(location, from.href);
  if (!target?.host)
    throw invalidResponse(subject, `${endpoint} redirects without a valid Location`);
  if (redirects > MAX_REDIRECTS) {
    throw invalidResponse(subject, `${endpoint} redirects more than ${MAX_REDIRECTS} times`);
  }
  const hasCredentials = credentials !== undefined;
  const problem =
    redirectProblem(target, from, upstream.trustedRealms, hasCredentials) ??
    realmProblem(overHttps(target, registry), registry, upstream.trustedRealms, hasCredentials);
  if (problem !== undefined) throw refused(subject, target, problem);
  return target;
}

/**
 * The only scope that is ever requested. A challenge's own scope is ignored: registries put placeholders
 * or more than `pull` in it.
 */
export function scopeOf(repository: string): string {
  return `repository:${repository}:pull`;
}

/** The Authorization header of RFC 7617, in UTF-8. */
export function basic({ username, password }: Credentials): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}

/**
 * A GET as in distribution's token specification. An identity token is sent as its OAuth2 refresh token,
 * in a POST.
 */
function tokenRequest(
  { repository, credentials }: TokenSubject,
  { service }: BearerChallenge,
  realm: URL,
): Pick<DialRequest, "method" | "url" | "headers" | "body"> {
  const scope = scopeOf(repository);
  const accept = "application/json";
  if (credentials?.username === IDENTITY_TOKEN_USER) {
    const form = new URLSearchParams({
      grant_type: "refresh_token",
      client_id: "entrepot",
      refresh_token: credentials.password,
      scope,
      ...(service === undefined ? {} : { service }),
    });
    const headers = { accept, "content-type": "application/x-www-form-urlencoded" };
    return { method: "POST", url: realm, headers, body: form.toString() };
  }
  const url = new URL(realm);
  if (service !== undefined) url.searchParams.set("service", service);
  url.searchParams.set("scope", scope);
  const authorization = credentials ? { authorization: basic(credentials) } : {};
  return { method: "GET", url, headers: { accept, ...authorization } };
}

function parseRealm(subject: TokenSubject, text: string): URL {
  const { upstream, registry, credentials } = subject;
  const realm = URL.parse(text);
  if (!realm?.host) {
    const reason = `the realm in the challenge of ${registry.host} is not a URL with a host`;
    throw invalidResponse(subject, reason);
  }
  const asked = overHttps(realm, registry);
  const problem = realmProblem(asked, registry, upstream.trustedRealms, credentials !== undefined);
  if (problem !== undefined) throw refused(subject, realm, problem);
  return realm;
}

function refused({ upstream }: TokenSubject, { host }: URL, reason: string): Fault {
  return new Fault({ kind: "address-refused", upstream: upstream.name, host, reason });
}

function invalidResponse({ upstream }: TokenSubject, reason: string): Fault {
  return new Fault({ kind: "upstream-invalid-response", upstream: upstream.name, reason });
}

/** For messages. */
function endpointOf({ registry }: TokenSubject): string {
  return `the token endpoint of ${registry.host}`;
}

async function readToken(
  subject: TokenSubject,
  { status, headers, body }: DialResponse,
): Promise<Token> {
  const { upstream, repository, credentials } = subject;
  const endpoint = endpointOf(subject);
  if (!isComplete(status, headers)) {
    await discard(body);
    if (credentials && (status === 401 || status === 403)) {
      throw new CredentialsRefused(status, endpoint);
    }
    // A missing token endpoint does not mean that the repository is missing.
    if (status === 404) {
      throw new Fault({ kind: "upstream-failed", upstream: upstream.name, status });
    }
    throw faultFromStatus(status, headers, {
      upstream: upstream.name,
      resource: "repository",
      name: repository,
    });
  }
  const limit = QUIRKS.maxTokenResponseBytes;
  const options = { upstream: upstream.name, what: "a token", limit, timeout: 10_000 };
  const response = parseObject(await decoded(await readBody(body, options), headers, limit));
  if (response === undefined) throw invalidResponse(subject, `${endpoint} sent no JSON object`);
  const token = [response["token"], response["access_token"]].find(
    (value): value is string => typeof value === "string" && value !== "",
  );
  // The token becomes part of a header: only visible ASCII is accepted.
  if (token === undefined || !/^[\x21-\x7e]+$/.test(token)) {
    throw invalidResponse(subject, `${endpoint} sent no valid token`);
  }
  const expiresIn = response["expires_in"];
  const lifetime = typeof expiresIn === "number" && expiresIn > 0 ? expiresIn : DEFAULT_LIFETIME;
  return { token, lifetime };
}
