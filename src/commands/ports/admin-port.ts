import { isLoopbackHost } from "../../config/parsing/host-overlap.ts";
import type { Settings } from "../../config/settings.ts";
import { AdminAccess } from "../../server/access/admin-access.ts";
import { type AdminListenerOptions, listenForAdmin } from "../../server/admin/admin-listener.ts";
import { ConnectionLimit } from "../../server/listen/connection-limit.ts";
import { RenewablePort } from "../../server/listen/renewable-port.ts";
import { descriptorLimit } from "../../process/file-descriptors.ts";
import type { Log } from "../../telemetry/log.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import { PresentedCertificate } from "./presented-certificate.ts";
import { openPort } from "./open-port.ts";

export type AdminSettings = Pick<Settings, "admin" | "adminTokens" | "adminTls">;

export interface AdminPortOptions {
  readonly settings: AdminSettings;
  /** What the port answers with. */
  readonly answers: Pick<AdminListenerOptions, "metrics" | "problem" | "api">;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** Enough for all readers of events, and some programs that keep connections. */
const MAX_CONNECTIONS = 512;

const EXPIRATION = {
  name: "entrepot_admin_certificate_expiration_timestamp_seconds",
  help: "When the certificate of the admin port expires, in seconds since the epoch; absent without TLS.",
} as const;

/** The port for operators, whose tokens and certificate change while it is open. */
export class AdminPort implements Disposable {
  readonly #options: AdminPortOptions;
  readonly #access: AdminAccess;
  readonly #certificate: PresentedCertificate;
  #port: RenewablePort | undefined;
  #limit: ConnectionLimit | undefined;

  constructor(options: AdminPortOptions) {
    const { settings, log, metrics } = options;
    this.#options = options;
    this.#access = new AdminAccess(settings.adminTokens);
    this.#certificate = new PresentedCertificate(settings.adminTls, {
      log,
      metrics,
      clients: "operators",
      expiration: EXPIRATION,
    });
    if (settings.adminTls || isLoopbackHost(settings.admin.host)) return;
    log.warn(
      { admin: settings.admin.host },
      "the admin port uses plain HTTP: whoever reads this network has its tokens. Set adminTls",
    );
  }

  /** @throws ListenError */
  open(stopping: AbortSignal): { server: RenewablePort; port: number } {
    const { admin } = this.#options.settings;
    const answers = { ...this.#options.answers, stopping };
    const common = { ...answers, access: this.#access, host: admin.host };
    const server = new RenewablePort(
      (address, tls) => listenForAdmin({ ...common, address, tls }),
      this.#certificate.current,
    );
    this.#port = server;
    const { port } = openPort("admin", admin, () => server.open(admin));
    this.#limit = this.#limitConnections(server, port);
    return { server, port };
  }

  [Symbol.dispose](): void {
    this.#limit?.[Symbol.dispose]();
  }

  /** Takes up changed tokens and another certificate. Sessions of tokens that are gone end. */
  configure({ adminTokens, adminTls }: AdminSettings): void {
    this.#access.configure(adminTokens);
    if (adminTls) this.#certificate.renew(adminTls, (tls) => this.#port?.renew(tls));
  }

  #limitConnections(port: RenewablePort, number: number): ConnectionLimit {
    // Nodes need most of the descriptors.
    const max = Math.min(MAX_CONNECTIONS, Math.floor(descriptorLimit() / 4));
    const onReached = (): void =>
      this.#options.log.warn(
        { connections: max },
        "the admin port has as many connections as it may: further ones wait until others end, or are ended since they are idle. Find out which program opens them",
      );
    return new ConnectionLimit({ port, number, max, onReached });
  }
}
