import type { Upstream } from "../../cache/upstream.ts";
import type { Identity } from "../../config/settings.ts";
import type { Address } from "../../config/parsing/address.ts";
import { Fault } from "../../oci/fault.ts";
import { faultResponse } from "../pull/errors.ts";
import type { Namespaces } from "../pull/namespaces.ts";
import type { PullApi } from "../pull/pull-api.ts";
import type { RecentPulls } from "../pull/recent-pulls.ts";

/**
 * The deepest path that is served, in components after `/v2/`: a name of 255 characters has at
 * most 128, and a namespace, a kind and a reference come on top.
 */
const DEEPEST = 132;

/** Seconds without a byte after which a connection is closed. */
export const IDLE_TIMEOUT = 120;

export interface NodeListenerOptions {
  readonly address: Address;
  readonly api: PullApi;
  readonly namespaces: Namespaces;
  readonly recent: RecentPulls;
  /** Told where an answer failed after it was given out: its file could not be opened. */
  readonly unreadable: (error: Error) => void;
  /** Set for a port at which requests need no namespace. */
  readonly upstream?: Upstream;
  /** Set for HTTPS. */
  readonly tls?: {
    readonly identity: Identity;
    /** Whether connections are to be given up, each after its next answer. */
    readonly isLeaving: () => boolean;
  };
}

type Handler = (
  request: Bun.BunRequest,
  server: Bun.Server<undefined>,
) => Response | Promise<Response>;

/**
 * A node-facing port.
 *
 * Bun hands out URLs in which `..` is resolved already, so that what was really asked can no longer
 * be told; its router sees the raw path. Hence one pattern per depth, and components as it found them.
 */
export function listenForNodes(options: NodeListenerOptions): Bun.Server<undefined> {
  const { address, api, namespaces, recent, unreadable, upstream, tls } = options;

  const plainAnswer = (
    request: Request,
    server: Bun.Server<undefined>,
    segments: readonly string[],
  ): Response | Promise<Response> =>
    api.handle({
      request,
      segments,
      address: clientAddress(server, request),
      setIdleTimeout: (seconds) => server.timeout(request, seconds),
      port: upstream,
    });

  const lastAnswer = async (...asked: Parameters<typeof plainAnswer>): Promise<Response> => {
    const response = await plainAnswer(...asked);
    response.headers.set("connection", "close");
    return response;
  };
  const answer: typeof plainAnswer = tls
    ? (...asked) => (tls.isLeaving() ? lastAnswer : plainAnswer)(...asked)
    : plainAnswer;

  const routes: Record<string, Handler | Response> = {
    "/healthz": new Response("ok\n"),
    "/v2": (request, server) => answer(request, server, []),
    "/v2/": (request, server) => answer(request, server, []),
    "/entrepot/v1/namespaces": () => Response.json({ namespaces: namespaces.names }),
    "/entrepot/v1/served": (request, server) => {
      const since = Number(new URL(request.url).searchParams.get("since") ?? 0);
      const served = recent.of(clientAddress(server, request), Number.isFinite(since) ? since : 0);
      return Response.json({ served });
    },
  };
  for (let depth = 1; depth <= DEEPEST; depth += 1) {
    const names = Array.from({ length: depth }, (_, position) => `s${position}`);
    const pattern = `/v2/${names.map((name) => `:${name}`).join("/")}`;
    routes[pattern] = (request, server) => {
      const parameters: Record<string, string> = request.params;
      return answer(
        request,
        server,
        names.map((name) => parameters[name] ?? ""),
      );
    };
  }

  return Bun.serve({
    hostname: address.host,
    port: address.port,
    idleTimeout: IDLE_TIMEOUT,
    // Bodies are not read, whatever their length: what is wrong with a push is not that it is large.
    maxRequestBodySize: Number.MAX_SAFE_INTEGER,
    development: false,
    // Which shares ports unless told not to: a second cache would take half of the connections.
    reusePort: false,
    ...(tls ? { tls: { cert: tls.identity.certificate, key: tls.identity.key } } : {}),
    routes,
    fetch(request, server) {
      const isRegistry = /^[a-z]+:\/\/[^/]*\/v2(?:\/|$)/.test(request.url);
      // Too deep, or with an empty component: both are refused in the API's own words.
      if (isRegistry) return answer(request, server, [""]);
      return faultResponse(new Fault({ kind: "no-such-route" }), request.method);
    },
    error(error) {
      unreadable(error);
      const reason = "what is stored here cannot be read; the cache's log says why";
      return faultResponse(new Fault({ kind: "storage", reason }), "GET");
    },
  });
}

function clientAddress(server: Bun.Server<undefined>, request: Request): string {
  const address = server.requestIP(request)?.address ?? "";
  return address.startsWith("::ffff:") ? address.slice("::ffff:".length) : address;
}
