import ipaddr from "ipaddr.js";
import { problemResponse } from "../api/problem-details.ts";
import type { AcceptedToken, Right } from "./access-tokens.ts";
import type { AdminAccess } from "./admin-access.ts";
import { sessionIds } from "./session-cookie.ts";

export interface AdminGuardOptions {
  readonly access: AdminAccess;
  /** The host of the address at which the port listens. */
  readonly host: string;
  /** Whether the port speaks TLS. */
  readonly isSecure: boolean;
}

const SAFE_METHODS = new Set(["GET", "HEAD", "OPTIONS"]);

/**
 * Says what a request to the admin port is allowed to do.
 *
 * Any page that a browser on this machine opens can send requests to a loopback port. A page whose
 * own name resolves to 127.0.0.1 (DNS rebinding) is recognised by `Host`, and requests from other
 * origins (CSRF) by `Origin` and `Sec-Fetch-Site`.
 */
export class AdminGuard {
  readonly #options: AdminGuardOptions;

  constructor(options: AdminGuardOptions) {
    this.#options = options;
  }

  /**
   * @param client the client's address
   * @returns what the request's token or session allows, or the response that refuses the request
   */
  async admit(request: Request, client: string): Promise<Right | Response> {
    return this.refuseSender(request) ?? (await this.#rightOf(request, client));
  }

  /**
   * As `admit`, for what a browser shows: links from other sites may lead to it, and who is not logged in is
   * sent to the login.
   */
  async admitPage(request: Request, client: string): Promise<Right | Response> {
    const fromElsewhere = isLinkOfOtherSite(request);
    const refusal = fromElsewhere ? this.#refuseHost(request) : this.refuseSender(request);
    if (refusal) return refusal;
    const right = await this.#rightOf(request, client);
    if (!(right instanceof Response) || right.status !== 401) return right;
    // A cookie that is SameSite=Strict is not sent along a link of another site: only this page's own
    // request shows whether there is a session.
    if (fromElsewhere) return reloadingPage();
    const { pathname, search } = new URL(request.url);
    return seeOther(`/login?to=${encodeURIComponent(pathname + search)}`);
  }

  /** The response for a request that a page of another origin may have sent; undefined for any other. */
  refuseSender(request: Request): Response | undefined {
    const refusal = this.#refuseHost(request);
    if (refusal) return refusal;
    const origin = request.headers.get("origin");
    if (origin !== null && !isOwnOrigin(request)) {
      return forbidden("the request comes from a page of another origin");
    }
    if (request.headers.get("sec-fetch-site") === "cross-site") {
      return forbidden("the request comes from a page of another site");
    }
    return undefined;
  }

  /**
   * Checks a token that was sent. A wrong one is answered late.
   *
   * @returns undefined for a wrong token, and a response where too many were sent
   */
  async checkToken(sent: string, client: string): Promise<AcceptedToken | Response | undefined> {
    const { tokens, attempts } = this.#options.access;
    if (attempts.areTooMany(client)) {
      return problemResponse({
        status: 429,
        detail: "wrong tokens are sent from this address, and their answers are delayed",
        next: "find out which program sends them, and try again in 5 s",
        headers: { "retry-after": "5" },
      });
    }
    const accepted = tokens.find(sent);
    if (!accepted) await attempts.failed(client);
    return accepted;
  }

  /** What the session of a request allows; undefined without one. */
  sessionRight(request: Request): Right | undefined {
    const { isSecure } = this.#options;
    const { sessions, tokens } = this.#options.access;
    for (const id of sessionIds(request, isSecure)) {
      const token = sessions.tokenOf(id);
      const right = token === undefined ? undefined : tokens.rightOf(token);
      if (right !== undefined) return right;
    }
    return undefined;
  }

  async #rightOf(request: Request, client: string): Promise<Right | Response> {
    if (!this.#options.access.tokens.areNeeded) return "admin";
    const sent = /^bearer\s+(\S+)$/i.exec(request.headers.get("authorization") ?? "")?.[1];
    if (sent !== undefined) {
      const checked = await this.checkToken(sent, client);
      if (checked instanceof Response) return checked;
      return checked?.right ?? unauthorized("the token is wrong");
    }
    const right = this.sessionRight(request);
    if (right === undefined) return unauthorized("the request has no token");
    // Browsers send a cookie by themselves, also for another port of this host, but not this header.
    if (!SAFE_METHODS.has(request.method) && !isOwnOrigin(request)) {
      return forbidden("a change by a session has to come from the page");
    }
    return right;
  }

  /** Where a token is needed, another name gives no access: no browser sends a cookie to it. */
  #refuseHost(request: Request): Response | undefined {
    const requested = request.headers.get("host") ?? "";
    if (this.#options.access.tokens.areNeeded || isOwnName(requested, this.#options.host))
      return undefined;
    const detail = `${JSON.stringify(requested.slice(0, 100))} is not a name of the admin port`;
    return problemResponse({ status: 421, detail, next: "use its address or localhost" });
  }
}

/** Whether the browser says that the request was sent by a page of this port. */
export function isOwnOrigin(request: Request): boolean {
  const origin = request.headers.get("origin");
  if (origin === null) return request.headers.get("sec-fetch-site") === "same-origin";
  return URL.parse(origin)?.host === request.headers.get("host");
}

/** Somebody followed a link, and sees the response alone in a tab of its own. */
function isLinkOfOtherSite({ method, headers }: Request): boolean {
  return (
    method === "GET" &&
    headers.get("sec-fetch-site") === "cross-site" &&
    headers.get("sec-fetch-mode") === "navigate" &&
    headers.get("sec-fetch-dest") === "document" &&
    !headers.has("origin")
  );
}

function isOwnName(requestedHost: string, host: string): boolean {
  const name = requestedHost
    .replace(/:\d+$/, "")
    .replace(/^\[|\]$/g, "")
    .toLowerCase();
  if (name === "localhost" || name === host) return true;
  return ipaddr.isValid(name) && ipaddr.process(name).range() === "loopback";
}

export function seeOther(
  location: string,
  headers: Readonly<Record<string, string>> = {},
): Response {
  const all = { location, "cache-control": "no-store", ...headers };
  return new Response(null, { status: 303, headers: all });
}

function reloadingPage(): Response {
  const html =
    '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0"><title>Entrepot</title>\n';
  const headers = {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
  };
  return new Response(html, { headers });
}

function unauthorized(detail: string): Response {
  const next = "send one that is accepted, in the header Authorization: Bearer";
  return problemResponse({ status: 401, detail, next, headers: { "www-authenticate": "Bearer" } });
}

function forbidden(detail: string): Response {
  return problemResponse({
    status: 403,
    detail,
    next: "use the page at / of this port, or send a token",
  });
}
