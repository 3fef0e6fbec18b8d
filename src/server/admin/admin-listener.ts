import type { Address } from "../../config/parsing/address.ts";
import type { Right } from "../access/access-tokens.ts";
import type { AdminAccess } from "../access/admin-access.ts";
import { AdminGuard } from "../access/admin-guard.ts";
import { Login } from "../access/login.ts";
import { limitStream } from "../access/limited-stream.ts";
import { LOGIN_STYLE_PATH, loginStyle } from "../access/login-page.ts";
import { type ProblemOptions, problemResponse } from "../api/problem-details.ts";
import { API_PREFIX } from "../api/router.ts";
import { clientAddress } from "../listen/client-address.ts";
import { IDLE_TIMEOUT, type ServerTls } from "../listen/renewable-port.ts";
import type { AdminApi } from "./admin-api.ts";
import { ASSETS, OperatorPages } from "./operator-pages.ts";

export interface AdminListenerOptions {
  /** The address that was configured, at which the port can be reached. */
  readonly host: string;
  /** Where this server listens, until it takes over the socket of another one. */
  readonly address: Address;
  readonly tls?: ServerTls | undefined;
  /** The metrics in Prometheus's text format. */
  readonly metrics: () => Promise<string>;
  /** Aborts when the cache stops. */
  readonly stopping: AbortSignal;
  /** Why the cache cannot do all it should; `undefined` if it can. */
  readonly problem: () => string | undefined;
  readonly api: AdminApi;
  readonly access: AdminAccess;
  /** How long a connection may be idle, in seconds. */
  readonly idleTimeout?: number;
}

type Handler = (
  request: Request,
  client: string,
  server: Bun.Server<undefined>,
) => Response | Promise<Response>;

/** Listens at the admin port. The health endpoints need no token: they reveal nothing else. */
export function listenForAdmin(options: AdminListenerOptions): Bun.Server<undefined> {
  const { address, tls, metrics, stopping, problem, api, idleTimeout = IDLE_TIMEOUT } = options;
  const isSecure = tls !== undefined;
  const guard = new AdminGuard({ ...options, isSecure });
  const login = new Login({ ...options, guard, isSecure });

  const route =
    (handle: Handler) =>
    async (request: Request, server: Bun.Server<undefined>): Promise<Response> => {
      const response = await handle(request, clientAddress(server, request), server);
      if (tls?.isDraining()) response.headers.set("connection", "close");
      return response;
    };
  const admitted = (
    handle: (request: Request, right: Right) => Response | Promise<Response>,
  ): Handler => {
    return async (request, client) => {
      const right = await guard.admit(request, client);
      return right instanceof Response ? right : handle(request, right);
    };
  };

  const pages = new OperatorPages(api);
  return Bun.serve({
    hostname: address.host,
    port: address.port,
    idleTimeout,
    development: false,
    // Bun shares ports by default: a second cache would get half of the connections.
    reusePort: false,
    ...(tls ? { tls: { cert: tls.identity.certificate, key: tls.identity.key } } : {}),
    routes: {
      "/healthz": route(() => new Response("ok\n")),
      "/readyz": route(() => {
        const reason = stopping.aborted ? "stopping" : problem();
        return reason === undefined
          ? new Response("ready\n")
          : new Response(`${reason}\n`, { status: 503 });
      }),
      "/metrics": route(
        admitted(async () => {
          const headers = { "content-type": "text/plain; version=0.0.4; charset=utf-8" };
          return new Response(await metrics(), { headers });
        }),
      ),
      "/login": {
        GET: route((request) => login.form(request)),
        POST: route((request, client) => login.begin(request, client)),
      },
      [LOGIN_STYLE_PATH]: route(loginStyle),
      "/logout": { POST: route((request) => login.end(request)) },
      "/api/v1/*": route(async (request, client, server) => {
        const right = await guard.admit(request, client);
        if (right instanceof Response) return right;
        // An operation takes as long as its work does. Bun keeps a connection's timeout until another is set.
        const response = await api.handle(request, right, () => server.timeout(request, 0));
        const awaitClient = (): void => server.timeout(request, idleTimeout);
        awaitClient();
        return limitStream(response, [options.access.changed, stopping], awaitClient);
      }),
      [`${ASSETS}*`]: route(async (request) => (await pages.asset(request)) ?? notFound(request)),
    },
    // Every other path may be one of a page.
    fetch: route(async (request, client) => {
      const { pathname } = new URL(request.url);
      if (/^\/api(?:\/|$)/.test(pathname)) {
        const right = await guard.admit(request, client);
        return right instanceof Response ? right : notFound(request);
      }
      const methods = METHODS[pathname] ?? ["GET", "HEAD"];
      if (!methods.includes(request.method)) return notAllowed(request, methods);
      const right = await guard.admitPage(request, client);
      if (right instanceof Response) return right;
      const hasSession = guard.sessionRight(request) !== undefined;
      return (await pages.page(request, right, hasSession)) ?? notFound(request);
    }),
    error: (error) => problemResponse(api.failures.problem(error, { operation: "page" })),
  });
}

/** Those of paths that only some methods have a route for. */
const METHODS: Readonly<Record<string, readonly string[]>> = {
  "/login": ["GET", "HEAD", "POST"],
  "/logout": ["POST"],
};

function notFound(request: Request): Response {
  const { pathname } = new URL(request.url);
  return refused(request, {
    status: 404,
    detail: `there is nothing at ${pathname.slice(0, 200)}`,
    next: `the API is below ${API_PREFIX}/, and GET ${API_PREFIX}/openapi.json describes it`,
  });
}

function notAllowed(request: Request, methods: readonly string[]): Response {
  const { pathname } = new URL(request.url);
  return refused(request, {
    status: 405,
    detail: `${request.method} is not a method of ${pathname.slice(0, 200)}`,
    next: `use ${methods.join(" or ")}`,
    headers: { allow: methods.join(", ") },
  });
}

/** Programs get a problem: below `/api`, and where they ask for JSON. Others get it in words. */
function refused(request: Request, problem: ProblemOptions): Response {
  const { pathname } = new URL(request.url);
  const isForPrograms =
    /^\/api(?:\/|$)/.test(pathname) || /\bjson\b/i.test(request.headers.get("accept") ?? "");
  if (isForPrograms) return problemResponse(problem);
  const { status, detail, next, headers = {} } = problem;
  return new Response(`${detail}: ${next}\n`, { status, headers });
}
