import type { Address } from "../../config/parsing/address.ts";
import type { AdminApi } from "./admin-api.ts";
import { rejectReason } from "./admin-guard.ts";

export interface AdminListenerOptions {
  readonly address: Address;
  /** The metrics in Prometheus's text format. */
  readonly metrics: () => Promise<string>;
  readonly isStopping: () => boolean;
  /** Why the cache cannot do all it should; `undefined` if it can. */
  readonly problem: () => string | undefined;
  readonly api: AdminApi;
  /** The bearer token that requests must send; absent only on a loopback address. */
  readonly token?: string;
}

/** Listens at the admin port. The health endpoints need no token: they reveal nothing else. */
export function listenForAdmin(options: AdminListenerOptions): Bun.Server<undefined> {
  const { address, metrics, isStopping, problem, api, token } = options;
  const guard = { host: address.host, ...(token === undefined ? {} : { token }) };
  return Bun.serve({
    hostname: address.host,
    port: address.port,
    development: false,
    // Bun shares ports by default: a second cache would get half of the connections.
    reusePort: false,
    routes: {
      "/healthz": new Response("ok\n"),
      "/readyz": () => {
        const reason = isStopping() ? "stopping" : problem();
        return reason === undefined
          ? new Response("ready\n")
          : new Response(`${reason}\n`, { status: 503 });
      },
      "/metrics": async (request) =>
        rejectReason(request, guard) ??
        new Response(await metrics(), {
          headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" },
        }),
      "/api/v1/*": (request, server) => {
        // A verification takes as long as it takes to read every stored byte.
        server.timeout(request, 0);
        return rejectReason(request, guard) ?? api.handle(request);
      },
    },
    fetch: () => new Response("not found\n", { status: 404 }),
    error: (error) => Response.json({ error: error.message }, { status: 500 }),
  });
}
