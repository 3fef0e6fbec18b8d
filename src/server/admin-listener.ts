import type { Address } from "../config/settings.ts";

export interface AdminListenerOptions {
  readonly address: Address;
  /** The text form that Prometheus reads. */
  readonly metrics: () => Promise<string>;
  readonly isReady: () => boolean;
}

/** What operators and their monitoring ask. */
export function listenForAdmin(options: AdminListenerOptions): Bun.Server<undefined> {
  const { address, metrics, isReady } = options;
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
      "/metrics": async () =>
        new Response(await metrics(), {
          headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" },
        }),
    },
    fetch: () => new Response("there is nothing here\n", { status: 404 }),
  });
}
