import type { ClientsSettings } from "../../config/access/clients-settings.ts";
import type { ServerIdentity } from "../../config/settings.ts";
import type { Address } from "../../config/parsing/address.ts";
import type { Pausable } from "../../server/listen/connection-gate.ts";
import { CertificatePort } from "../../server/listen/certificate-port.ts";
import { OwnAnswers, type OwnAnswersOptions } from "../../server/listen/node-answers.ts";
import { listenForNodes, type NodeListenerOptions } from "../../server/listen/node-listener.ts";
import { RenewablePort } from "../../server/listen/renewable-port.ts";
import type { HitWorkers, WorkerPort } from "../../server/threads/hit-workers.ts";
import type { Log } from "../../telemetry/log.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import { openPort, type Ports } from "./open-port.ts";
import { PresentedCertificate } from "./presented-certificate.ts";

export interface NodePortsOptions {
  /** The options that all ports have in common. */
  readonly common: Omit<OwnAnswersOptions, "upstream"> &
    Omit<NodeListenerOptions, "answers" | "address" | "tls">;
  /** Set if other threads accept the connections. */
  readonly workers?: HitWorkers | undefined;
  readonly tls: ServerIdentity | undefined;
  readonly ports: Ports;
  readonly log: Log;
  readonly metrics: Metrics;
}

type CertificateSettings = NonNullable<ClientsSettings["certificates"]>;

const EXPIRATION = {
  name: "entrepot_certificate_expiration_timestamp_seconds",
  help: "When the certificate of the node-facing ports expires, in seconds since the epoch; absent without TLS.",
} as const;

/** The node-facing ports, with one certificate for all of them if they use TLS. */
export class NodePorts implements Pausable {
  readonly #options: NodePortsOptions;
  readonly #all: WorkerPort[] = [];
  readonly #certificate: PresentedCertificate;
  #forCertificates: CertificatePort | undefined;

  constructor(options: NodePortsOptions) {
    const { log, metrics, tls } = options;
    this.#options = options;
    this.#certificate = new PresentedCertificate(tls, {
      log,
      metrics,
      clients: "nodes",
      expiration: EXPIRATION,
    });
  }

  /**
   * @param setting the setting that names the address, for the error
   * @throws ListenError
   */
  open(
    setting: string,
    address: Address,
    own: Pick<OwnAnswersOptions, "upstream"> & { readonly pathPrefixes: readonly string[] },
  ): { server: RenewablePort; port: number } {
    const { common, tls, ports } = this.#options;
    const { pathPrefixes } = own;
    const answers = new OwnAnswers({ ...common, ...own });
    const listening = { ...common, answers, pathPrefixes };
    const server = new RenewablePort(
      (at, withTls) => listenForNodes({ ...listening, address: at, tls: withTls }),
      tls,
    );
    const { port } = ports.open(setting, address, (at) => server.open(at));
    this.#all.push({ port: server, answers, pathPrefixes });
    return { server, port };
  }

  /**
   * Opens the port at which clients show certificates.
   *
   * @throws ListenError
   */
  openForCertificates(
    { ca, listen }: CertificateSettings,
    pathPrefixes: readonly string[],
  ): { server: CertificatePort; port: number } {
    const { common } = this.#options;
    const identity = this.#certificate.current;
    if (!identity) throw new Error("the configuration was checked: certificates need tls");
    const answers = new OwnAnswers(common);
    const opened = openPort("clients.certificates.listen", listen, () => {
      return new CertificatePort({
        address: listen,
        identity,
        ca,
        serve: (address, whose) =>
          listenForNodes({ ...common, answers, pathPrefixes, address, whose }),
      });
    });
    this.#forCertificates = opened.server;
    return opened;
  }

  /** Lets the workers accept the connections of all ports. */
  async startWorkers(): Promise<void> {
    await this.#options.workers?.start(this.#all, this.#certificate.current);
  }

  /** Presents another certificate to new connections. If that fails, the old one stays in use. */
  renew(tls: ServerIdentity): void {
    this.#certificate.renew(tls, (renewed) => {
      for (const { port } of this.#all) port.renew(renewed);
      this.#options.workers?.renew(renewed);
      this.#forCertificates?.renew(renewed);
    });
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
}
