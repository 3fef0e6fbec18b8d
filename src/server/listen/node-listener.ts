import type { Address } from "../../config/parsing/address.ts";
import { Fault } from "../../oci/fault.ts";
import { faultResponse } from "../pull/errors.ts";
import type { ReceivedRequest } from "../pull/incoming-request.ts";
import type { ShownCertificate } from "./shown-certificate.ts";
import { clientAddress } from "./client-address.ts";
import type { NodeAnswers, Page } from "./node-answers.ts";
import { IDLE_TIMEOUT, type ServerTls } from "./renewable-port.ts";

/**
 * The largest number of components after `/v2/`: a name of 255 characters has at most 128, and a
 * namespace, a kind and a reference are added to these.
 */
const MAX_DEPTH = 132;

export interface NodeListenerOptions {
  readonly address: Address;
  readonly answers: NodeAnswers;
  /** Called if a response fails after its handler returned: its file could not be opened. */
  readonly unreadable: (error: Error) => void;
  /** Whether each connection is to be closed after its next response, since descriptors are scarce. */
  readonly isScarce: () => boolean;
  /** Paths such as `/cache/` that may stand before `/v2/`. */
  readonly pathPrefixes?: readonly string[];
  /**
   * Whose a connection is, by its port at this machine's loopback, if connections are handed on from another
   * port; no others are answered then.
   */
  readonly whose?: (port: number) => ShownCertificate | undefined;
  /** Set for HTTPS. */
  readonly tls?: ServerTls | undefined;
}

type Handler = (
  request: Bun.BunRequest,
  server: Bun.Server<undefined>,
) => Response | Promise<Response>;

/**
 * Listens at a node-facing port.
 *
 * In the URLs that Bun provides, `..` is resolved, which hides path traversal. Its router matches the
 * raw path. Hence one route pattern per depth, whose parameters are the raw components.
 */
export function listenForNodes(options: NodeListenerOptions): Bun.Server<undefined> {
  const { address, answers, unreadable, isScarce, tls, whose } = options;

  const from = (request: Request, server: Bun.Server<undefined>): ShownCertificate | undefined =>
    whose
      ? whose(server.requestIP(request)?.port ?? 0)
      : { address: clientAddress(server, request) };

  const handleRequest = (
    request: Request,
    server: Bun.Server<undefined>,
    segments: readonly string[],
  ): Response | Promise<Response> => {
    const client = from(request, server);
    if (!client) return new Response(null, { status: 403, headers: { connection: "close" } });
    return answers.pull({
      request: whose ? sentOverTls(request) : request,
      segments,
      ...client,
      // Bun no longer knows the address of a request that has ended.
      isOpen: () => server.requestIP(request) !== null,
      setIdleTimeout: (seconds) => server.timeout(request, seconds),
      port: answers.port,
    });
  };

  const handleAndClose = async (
    ...received: Parameters<typeof handleRequest>
  ): Promise<Response> => {
    const response = await handleRequest(...received);
    response.headers.set("connection", "close");
    return response;
  };
  const handle: typeof handleRequest = (...received) =>
    (isScarce() || tls?.isDraining() ? handleAndClose : handleRequest)(...received);

  const roots = ["/", ...(options.pathPrefixes ?? [])].map((prefix) => `${prefix}v2`);
  const page =
    (name: Page): Handler =>
    (request, server) => {
      const { url, method } = request;
      const client = from(request, server);
      return answers.page(name, { url, method, address: client?.address ?? "" });
    };
  const routes: Record<string, Handler | Response> = {
    "/healthz": answers.health ?? page("health"),
    "/entrepot/v1/namespaces": page("namespaces"),
    "/entrepot/v1/images": page("images"),
    "/entrepot/v1/served": page("served"),
  };
  for (const root of roots) {
    routes[root] = (request, server) => handle(request, server, []);
    routes[`${root}/`] = (request, server) => handle(request, server, []);
    for (let depth = 1; depth <= MAX_DEPTH; depth += 1) {
      const names = Array.from({ length: depth }, (_, position) => `s${position}`);
      const pattern = `${root}/${names.map((name) => `:${name}`).join("/")}`;
      routes[pattern] = (request, server) => {
        const parameters: Record<string, string> = request.params;
        return handle(
          request,
          server,
          names.map((name) => parameters[name] ?? ""),
        );
      };
    }
  }

  return Bun.serve({
    hostname: address.host,
    port: address.port,
    idleTimeout: IDLE_TIMEOUT,
    // Bodies are never read. A large push is to get 405 like any other, and not 413.
    maxRequestBodySize: Number.MAX_SAFE_INTEGER,
    development: false,
    // Bun shares ports by default: a second cache would get half of the connections.
    reusePort: false,
    ...(tls ? { tls: { cert: tls.identity.certificate, key: tls.identity.key } } : {}),
    routes,
    fetch(request, server) {
      const path = request.url.replace(/^[a-z]+:\/\/[^/]*/, "");
      const isRegistry = roots.some((root) => path === root || path.startsWith(`${root}/`));
      // The path is too deep or has an empty component: the API refuses an empty one.
      if (isRegistry) return handle(request, server, [""]);
      return faultResponse(new Fault({ kind: "no-such-route" }), request.method);
    },
    error(error) {
      unreadable(error);
      const reason = "a stored file cannot be read";
      return faultResponse(new Fault({ kind: "storage", reason }), "GET");
    },
  });
}

/** A request that is handed on from a port which speaks TLS: what is told of addresses has to be right there. */
function sentOverTls({ method, url, headers, signal }: Request): ReceivedRequest {
  return { method, url: url.replace(/^http:/, "https:"), headers, signal };
}
