import type { Credentials, UpstreamSettings } from "../config/settings.ts";
import { parseChallenge } from "../oci/challenge.ts";
import { Fault } from "../oci/fault.ts";
import { parseRepositoryName, type RepositoryName } from "../oci/names.ts";
import { abortable } from "./transport/abortable.ts";
import { discard, timeout } from "./transport/response-body.ts";
import type { DialResponse } from "./transport/dialer.ts";
import { CredentialsRefused } from "./auth/keyring.ts";
import type { RequestKind } from "./observer.ts";
import { QUIRKS } from "./quirks.ts";
import type { RegistryTransport } from "./registry-transport.ts";
import type { Release, SlotKind } from "./transport/concurrency-limiter.ts";
import type { TokenSubject } from "./auth/token-cache.ts";

const MAX_REDIRECTS = 5;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** One refused from the cache, and one renewed by somebody else meanwhile that is refused too. */
const MAX_CHALLENGES = 3;

/** Credentials that one exchange tries before it goes on without: those there are, and newer ones. */
const MAX_REFUSALS = 2;

/** How often one exchange has a registry lead it to its storage again. */
const MAX_RENEWALS = 2;

export interface RegistryRequest {
  /** For metrics. */
  readonly request: Exclude<RequestKind, "token">;
  /** `blob` for what may be big. */
  readonly slot: SlotKind;
  readonly method: "GET" | "HEAD";
  /** At the upstream's own registry. */
  readonly url: URL;
  readonly repository: RepositoryName;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Asks a registry, with all that lies between a question and its answer: a slot, tokens, redirects.
 * The slot is held until the answer's body is over, so it must be read to its end or cancelled.
 * Headers come, or a Fault does, within the roads' patience.
 *
 * @returns the last host's answer, whatever its status, but no redirect
 * @throws Fault; the signal's reason where the caller gave up
 */
export async function roundTrip(
  settings: UpstreamSettings,
  transport: RegistryTransport,
  question: RegistryRequest,
): Promise<DialResponse> {
  const { slot, signal } = question;
  const controller = new AbortController();
  const onAbort = (): void => controller.abort(signal?.reason);
  signal?.throwIfAborted();
  signal?.addEventListener("abort", onAbort, { once: true });
  // Every hop is short by itself; five redirects with tokens in between are not.
  const timer = setTimeout(() => {
    controller.abort(timeout(settings.name, "answer", transport.timeout));
  }, transport.timeout);
  let release: Release | undefined;
  const over = (): void => {
    signal?.removeEventListener("abort", onAbort);
    release?.();
  };
  try {
    const each = slot === "blob" ? { each: settings.maxConnections } : {};
    const waiting = { ...each, signal: controller.signal };
    release = await transport.slots.acquire(slot, settings.name, waiting);
    const answer = await follow(settings, transport, { ...question, signal: controller.signal });
    void answer.ended.then(over);
    return answer;
  } catch (error) {
    over();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/**
 * The response at the end of all redirects. Where a storage refuses a signed URL, the registry is asked
 * for a new one: see `QUIRKS.expiredSignatureStatuses`.
 */
async function follow(
  settings: UpstreamSettings,
  transport: RegistryTransport,
  question: RegistryRequest,
): Promise<DialResponse> {
  for (let renewals = 0; ; renewals += 1) {
    const { answer, url } = await chase(settings, transport, question);
    if (!isRefusedSignature(question, url, answer)) return answer;
    await discard(answer.body);
    if (renewals < MAX_RENEWALS) continue;
    // The registry has allowed it: this is no word on whether the content exists or is private.
    const { status } = answer;
    const at = url.host;
    throw new Fault({ kind: "upstream-failed", upstream: settings.name, status, at });
  }
}

function isRefusedSignature(
  question: RegistryRequest,
  url: URL,
  { status }: DialResponse,
): boolean {
  if (question.request !== "blob" || url.href === question.url.href) return false;
  return url.search !== "" && QUIRKS.expiredSignatureStatuses.has(status);
}

async function chase(
  settings: UpstreamSettings,
  transport: RegistryTransport,
  question: RegistryRequest,
): Promise<{ readonly answer: DialResponse; readonly url: URL }> {
  const visited = new Set<string>();
  let { url } = question;
  for (;;) {
    visited.add(url.href);
    const answer = await ask(settings, transport, question, url);
    if (!REDIRECTS.has(answer.status)) return { answer, url };
    await discard(answer.body);
    const next = redirectTarget(settings, url, answer.headers.get("location"));
    if (visited.has(next.href)) throw untrue(settings, `${url.host} redirects in a circle`);
    if (visited.size > MAX_REDIRECTS)
      throw untrue(settings, `more than ${MAX_REDIRECTS} redirects`);
    url = next;
  }
}

/** One host's own answer. Credentials that are refused give way to newer ones, or to none. */
async function ask(
  settings: UpstreamSettings,
  transport: RegistryTransport,
  question: RegistryRequest,
  url: URL,
): Promise<DialResponse> {
  // They belong to the upstream's own registry, and do not follow a redirect.
  const own = url.origin === settings.url.origin;
  let credentials = own
    ? await abortable(transport.keyring.current(settings), question.signal)
    : undefined;
  for (let refusals = 0; ; refusals += 1) {
    try {
      return await askAs(settings, transport, question, url, credentials);
    } catch (error) {
      if (!(error instanceof CredentialsRefused) || !credentials) throw error;
      const next = transport.keyring.refused(settings, credentials, error);
      credentials = refusals < MAX_REFUSALS ? await abortable(next, question.signal) : undefined;
    }
  }
}

/** With the challenge met where that is possible. */
async function askAs(
  settings: UpstreamSettings,
  transport: RegistryTransport,
  question: RegistryRequest,
  url: URL,
  credentials: Credentials | undefined,
): Promise<DialResponse> {
  const subject = { ...subjectAt(settings, question, url), credentials };
  let authorization = transport.tokens.cached(subject);
  let fresh = false;
  for (let challenges = 0; ; challenges += 1) {
    const answer = await transport.dialer.dial({
      upstream: settings.name,
      allowPrivate: settings.allowPrivate,
      ledFrom: url.origin === settings.url.origin ? undefined : settings.url.hostname,
      request: question.request,
      method: question.method,
      url,
      headers: { ...question.headers, ...(authorization === undefined ? {} : { authorization }) },
      signal: question.signal,
      ca: settings.ca,
      client: subject.client,
      proxy: settings.proxy,
    });
    if (answer.status !== 401) {
      const isGood = answer.status < 400 && authorization !== undefined;
      if (isGood && credentials) transport.keyring.accepted(settings.name, credentials);
      return answer;
    }
    const challenge = parseChallenge(answer.headers.get("www-authenticate"));
    if (credentials && challenge?.scheme === "basic" && authorization !== undefined) {
      await discard(answer.body);
      transport.tokens.forget(subject);
      throw new CredentialsRefused(401, url.host);
    }
    if (!challenge || fresh || challenges === MAX_CHALLENGES) return answer;
    // One connection at a time for each slot: this answer goes before the next is asked for.
    await discard(answer.body);
    const next = await transport.tokens.answer(subject, challenge, authorization, question.signal);
    if (!next || next.header === authorization) return { ...answer, body: undefined };
    authorization = next.header;
    fresh = next.fresh;
  }
}

/**
 * Who is spoken to. Tokens belong to scheme, host and port. The host at a redirect's end is asked for
 * a token of its own, for the repository that its path names (reg.kyverno.io is a redirector to
 * ghcr.io). The client's certificate is shown to the upstream's own host alone.
 */
function subjectAt(settings: UpstreamSettings, question: RegistryRequest, url: URL): TokenSubject {
  const own = url.origin === settings.url.origin;
  const named = /\/v2\/(.{1,255})\/(?:manifests|blobs|tags|referrers)\/[^/]+$/.exec(url.pathname);
  // Below a mirror's path, and at a redirect's end, a repository has another name than here.
  const there = parseRepositoryName(named?.[1] ?? "");
  return {
    upstream: settings,
    registry: new URL(url.origin),
    repository: there ?? question.repository,
    client: own ? settings.client : undefined,
  };
}

function redirectTarget(settings: UpstreamSettings, from: URL, location: string | null): URL {
  const target = location === null ? null : URL.parse(location, from.href);
  if (!target || !/^https?:$/.test(target.protocol)) {
    throw untrue(settings, `${from.host} redirects to nowhere`);
  }
  if (from.protocol === "https:" && target.protocol === "http:") {
    throw untrue(settings, `${from.host} redirects from https to http`);
  }
  // It is never sent, and would have two equal addresses look different.
  target.hash = "";
  return target;
}

function untrue(settings: UpstreamSettings, reason: string): Fault {
  return new Fault({ kind: "upstream-invalid-response", upstream: settings.name, reason });
}
