import type { Address } from "../../config/parsing/address.ts";
import type { ClusterIdentity } from "../../config/cluster-settings.ts";
import { ROOT } from "./protocol.ts";
import type { ReplicaHandler } from "./replica-handler.ts";

/** Idle timeout of connections, in seconds: longer than that of who asks, who then meets no closed one. */
const IDLE_TIMEOUT = 120;

/** Listens for other replicas, at a port of its own: it can be closed to everybody else. */
export function listenForReplicas(
  { host, port }: Address,
  handler: ReplicaHandler,
  tls: ClusterIdentity | undefined,
): Bun.Server<undefined> {
  return Bun.serve({
    hostname: host,
    port,
    idleTimeout: IDLE_TIMEOUT,
    maxRequestBodySize: 0,
    development: false,
    // Bun shares ports by default: a second cache would get half of the connections.
    reusePort: false,
    ...(tls ? { tls: { cert: tls.certificate, key: tls.key } } : {}),
    fetch: (request) =>
      request.method === "GET" && new URL(request.url).pathname.startsWith(`${ROOT}/`)
        ? handler.handle(request)
        : new Response(null, { status: 404 }),
    error: () => new Response(null, { status: 500 }),
  });
}
