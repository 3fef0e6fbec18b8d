import type { Upstream } from "../../cache/upstream.ts";
import { certificateInfo } from "../../config/upstreams/certificates.ts";
import type { ServerIdentity } from "../../config/settings.ts";
import type { Address } from "../../config/parsing/address.ts";
import { NodePort, type NodePortOptions } from "../../server/listen/node-port.ts";
import type { Log } from "../../telemetry/log.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import type { Ports } from "./open-port.ts";

export interface NodePortsOptions {
  /** What all ports have in common. */
  readonly nodes: NodePortOptions;
  readonly tls: ServerIdentity | undefined;
  readonly ports: Ports;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** The ports that nodes ask, with one certificate where they speak TLS. */
export class NodePorts {
  readonly #options: NodePortsOptions;
  readonly #all: NodePort[] = [];
  #tls: ServerIdentity | undefined;

  constructor(options: NodePortsOptions) {
    const { metrics, tls } = options;
    this.#options = options;
    this.#tls = tls;
    if (!tls) return;
    this.#warn(tls);
    const help = "When the certificate that nodes are shown expires, in seconds of the epoch.";
    metrics.gauge("entrepot_certificate_expiry_seconds", help, () =>
      this.#tls ? certificateInfo(this.#tls).to.getTime() / 1000 : 0,
    );
  }

  /** @throws ListenError */
  open(what: string, address: Address, upstream?: Upstream): { server: NodePort; port: number } {
    const { nodes, tls, ports } = this.#options;
    const server = new NodePort({ ...nodes, ...(upstream ? { upstream } : {}) }, tls);
    const { port } = ports.open(what, address, (at) => server.open(at));
    this.#all.push(server);
    return { server, port };
  }

  /** Shows another certificate from now on. Where the system has no room for that, the old one stays. */
  renew(tls: ServerIdentity): void {
    const [before, { log }] = [this.#tls, this.#options];
    if (before?.certificate === tls.certificate && before.key === tls.key) return;
    try {
      for (const port of this.#all) port.renew(tls);
      this.#tls = tls;
      const [certificate, expires] = [tls.certificateFile, certificateInfo(tls).to];
      log.info({ certificate, expires }, "certificate renewed");
      this.#warn(tls);
    } catch (err) {
      log.error({ err }, "certificate not taken up: the one before is shown on");
    }
  }

  #warn(tls: ServerIdentity): void {
    const { from, to } = certificateInfo(tls);
    const [certificate, now] = [tls.certificateFile, Date.now()];
    const { log } = this.#options;
    if (to.getTime() < now) {
      log.warn({ certificate, expired: to }, "the certificate has expired: nodes refuse it");
    } else if (from.getTime() > now) {
      const message = "the certificate is not valid yet: nodes refuse it, or the clock is wrong";
      log.warn({ certificate, from }, message);
    }
  }
}
