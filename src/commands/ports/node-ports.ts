import { certificateInfo } from "../../config/upstreams/certificates.ts";
import type { ServerIdentity } from "../../config/settings.ts";
import type { Address } from "../../config/parsing/address.ts";
import type { Pausable } from "../../server/listen/connection-gate.ts";
import { OwnAnswers, type OwnAnswersOptions } from "../../server/listen/node-answers.ts";
import { NodePort, type NodePortOptions } from "../../server/listen/node-port.ts";
import type { HitWorkers, WorkerPort } from "../../server/threads/hit-workers.ts";
import type { Log } from "../../telemetry/log.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import type { Ports } from "./open-port.ts";

export interface NodePortsOptions {
  /** The options that all ports have in common. */
  readonly common: Omit<OwnAnswersOptions, "upstream"> & Omit<NodePortOptions, "answers">;
  /** Set if other threads accept the connections. */
  readonly workers?: HitWorkers | undefined;
  readonly tls: ServerIdentity | undefined;
  readonly ports: Ports;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** The node-facing ports, with one certificate for all of them if they use TLS. */
export class NodePorts implements Pausable {
  readonly #options: NodePortsOptions;
  readonly #all: WorkerPort[] = [];
  #tls: ServerIdentity | undefined;

  constructor(options: NodePortsOptions) {
    const { metrics, tls } = options;
    this.#options = options;
    this.#tls = tls;
    if (tls) this.#warn(tls);
    const help =
      "When the certificate of the node-facing ports expires, in seconds since the epoch; absent without TLS.";
    metrics.gauges("entrepot_certificate_expiration_timestamp_seconds", help, [], () =>
      this.#tls ? [{ labels: [], value: certificateInfo(this.#tls).to.getTime() / 1000 }] : [],
    );
  }

  /**
   * @param setting the setting that names the address, for the error
   * @throws ListenError
   */
  open(
    setting: string,
    address: Address,
    own: Pick<OwnAnswersOptions, "upstream"> & { readonly pathPrefixes: readonly string[] },
  ): { server: NodePort; port: number } {
    const { common, tls, ports } = this.#options;
    const { pathPrefixes } = own;
    const answers = new OwnAnswers({ ...common, ...own });
    const server = new NodePort({ ...common, answers, pathPrefixes }, tls);
    const { port } = ports.open(setting, address, (at) => server.open(at));
    this.#all.push({ port: server, answers, pathPrefixes });
    return { server, port };
  }

  /** Lets the workers accept the connections of all ports. */
  async startWorkers(): Promise<void> {
    await this.#options.workers?.start(this.#all, this.#tls);
  }

  /** Presents another certificate to new connections. If that fails, the old one stays in use. */
  renew(tls: ServerIdentity): void {
    const [present, { log }] = [this.#tls, this.#options];
    if (present?.certificate === tls.certificate && present.key === tls.key) return;
    try {
      for (const { port } of this.#all) port.renew(tls);
      this.#options.workers?.renew(tls);
      this.#tls = tls;
      const [certificate, expires] = [tls.certificateFile, certificateInfo(tls).to];
      log.info({ certificate, expires }, "certificate renewed");
      this.#warn(tls);
    } catch (err) {
      log.error({ err }, "certificate not renewed: the previous one stays in use");
    }
  }

  pause(): void {
    for (const { port } of this.#all) port.pause();
    this.#options.workers?.pause();
  }

  resume(): void {
    for (const { port } of this.#all) port.resume();
    this.#options.workers?.resume();
  }

  refuseWaiting(): void {
    for (const { port } of this.#all) port.refuseWaiting();
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
