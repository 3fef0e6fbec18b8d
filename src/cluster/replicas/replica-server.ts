import type { ClusterIdentity, ClusterSettings } from "../../config/cluster-settings.ts";
import type { Address } from "../../config/parsing/address.ts";
import { CertificateWatch, type CertificateWatchOptions } from "../certificate-watch.ts";
import { ROOT } from "./protocol.ts";
import type { ReplicaHandler } from "./replica-handler.ts";

/** Idle timeout of connections, in seconds: longer than that of who asks, who then meets no closed one. */
const IDLE_TIMEOUT = 120;

/** Listens for other replicas, at a port of its own: it can be closed to everybody else. */
export class ReplicaServer implements AsyncDisposable {
  readonly #handler: ReplicaHandler;
  readonly #watch: CertificateWatch | undefined;
  #tls: ClusterIdentity | undefined;
  #server: Bun.Server<undefined> | undefined;

  constructor(
    handler: ReplicaHandler,
    { tls }: Pick<ClusterSettings, "tls">,
    problems: CertificateWatchOptions["problems"],
  ) {
    this.#handler = handler;
    this.#tls = tls;
    this.#watch = tls && new CertificateWatch(tls.certificate, { problems });
  }

  get port(): number | undefined {
    return this.#server?.port;
  }

  open({ host, port }: Address): Bun.Server<undefined> {
    const handler = this.#handler;
    const tls = this.#tls;
    this.#server = Bun.serve({
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
    return this.#server;
  }

  /** Presents another certificate to new connections. For a moment, other replicas find nobody here. */
  renew(tls: ClusterIdentity | undefined): void {
    const [before, server] = [this.#tls, this.#server];
    if (!before || !tls || !server) return;
    if (before.certificate === tls.certificate && before.key === tls.key) return;
    this.#tls = tls;
    this.#watch?.renew(tls.certificate);
    const { hostname = "", port = 0 } = server;
    // What is being sent goes on.
    void server.stop();
    this.open({ host: hostname, port });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watch?.[Symbol.dispose]();
    await this.#server?.stop(true);
  }
}
