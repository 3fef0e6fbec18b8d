import type { Address } from "../../config/parsing/address.ts";
import type { AdminApi } from "./admin-api.ts";
import { rejectReason } from "./admin-guard.ts";

export interface AdminListenerOptions {
  readonly address: Address;
  /** The text form that Prometheus reads. */
  readonly metrics: () => Promise<string>;
  readonly isReady: () => boolean;
  readonly api: AdminApi;
  /** What has to be shown; absent on loopback alone. */
  readonly token?: string;
}

/** What operators and their monitoring ask. Health is told to everybody: it tells nothing else. */
export function listenForAdmin(options: AdminListenerOptions): Bun.Server<undefined> {
  const { address, metrics, isReady, api, token } = options;
  const guard = { host: address.host, ...(token === undefined ? {} : { token }) };
  return Bun.serve({
    hostname: address.host,
    port: address.port,
    development: false,
    // Which shares ports unless told not to: a second cache would take half of the connections.
    reusePort: false,
    routes: {
      "/healthz": new Response("ok\n"),
      "/readyz": () =>
        isReady() ? new Response("ready\n") : new Response("stopping\n", { status: 503 }),
      "/metrics": async (request) =>
        rejectReason(request, guard) ??
        new Response(await metrics(), {
          headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" },
        }),
      "/api/v1/:what": (request, server) => {
        // An answer may take as long as it takes to read everything.
        server.timeout(request, 0);
        return rejectReason(request, guard) ?? api.answer(request, request.params.what);
      },
    },
    fetch: () => new Response("there is nothing here\n", { status: 404 }),
    error: (error) => Response.json({ error: error.message }, { status: 500 }),
  });
}
