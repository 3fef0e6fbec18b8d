import type { Upstream } from "../../cache/upstream.ts";
import { type Address, formatAddress } from "../../config/parsing/address.ts";
import { addressOf, type Settings } from "../../config/settings.ts";
import type { AdminPort } from "./admin-port.ts";
import type { NodePorts } from "./node-ports.ts";
import type { Ports } from "./open-port.ts";

/** Where a running cache listens, as `host:port`. */
export interface Listening {
  readonly listen: string;
  readonly admin: string;
  /** Where clients show certificates. */
  readonly certificates?: string;
  /** By upstream, for those that have an address of their own. */
  readonly ports: Readonly<Record<string, string>>;
}

export interface ListenersOptions {
  readonly ports: Ports;
  readonly nodePorts: NodePorts;
  /** Set if other threads accept the connections of nodes. */
  readonly workers?: Stoppable | undefined;
}

/** A server, or what accepts connections for servers. */
export interface Stoppable {
  stop(closeConnections?: boolean): Promise<void>;
}

/** The servers of a cache: for nodes, for single upstreams and for operators. */
export class Listeners implements AsyncDisposable {
  readonly #ports: Ports;
  readonly #nodePorts: NodePorts;
  readonly #servers: Stoppable[] = [];
  readonly #closing = new AsyncDisposableStack();
  readonly #stopping = new AbortController();

  constructor({ ports, nodePorts, workers }: ListenersOptions) {
    this.#ports = ports;
    this.#nodePorts = nodePorts;
    if (workers) this.#closeLater(workers);
  }

  /** @throws ListenError */
  open(
    { listen, admin, clients }: Pick<Settings, "listen" | "admin" | "clients">,
    upstreams: Iterable<Upstream>,
    adminPort: AdminPort,
  ): Listening {
    const all = [...upstreams];
    const sharing = all.filter(({ settings }) => !addressOf(settings, { listen }));
    const listening = {
      listen: this.#openForNodes("listen", listen, { pathPrefixes: pathPrefixesOf(sharing) }),
      admin: this.#openForAdmin(admin, adminPort),
      ports: this.#openForUpstreams(listen, all),
      ...(clients?.certificates
        ? { certificates: this.#openForCertificates(clients.certificates, pathPrefixesOf(sharing)) }
        : {}),
    };
    this.#ports.expectNoneLeft();
    return listening;
  }

  /** Accepts no more connections. Resolves once all responses in progress are sent. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#servers.map((server) => server.stop()));
  }

  /** Closes all connections at once. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#closing.disposeAsync();
  }

  #openForUpstreams(listen: Address, upstreams: Iterable<Upstream>): Record<string, string> {
    const addresses: Record<string, string> = {};
    for (const upstream of upstreams) {
      const { name, listen: only } = upstream.settings;
      const address = addressOf(upstream.settings, { listen });
      if (!address) continue;
      const setting = `the ${only ? "address" : "port"} of ${name}`;
      addresses[name] = this.#openForNodes(setting, address, {
        upstream,
        pathPrefixes: pathPrefixesOf([upstream]),
      });
    }
    return addresses;
  }

  #openForNodes(...[setting, address, own]: Parameters<NodePorts["open"]>): string {
    const { server, port } = this.#nodePorts.open(setting, address, own);
    return this.#opened(server, address, port);
  }

  #openForCertificates(...[settings, prefixes]: Parameters<NodePorts["openForCertificates"]>) {
    const { server, port } = this.#nodePorts.openForCertificates(settings, prefixes);
    return this.#opened(server, settings.listen, port);
  }

  #openForAdmin(address: Address, adminPort: AdminPort): string {
    const { server, port } = adminPort.open(this.#stopping.signal);
    return this.#opened(server, address, port);
  }

  #opened(server: Stoppable, { host }: Address, port: number): string {
    this.#closeLater(server);
    return formatAddress({ host, port });
  }

  #closeLater(server: Stoppable): void {
    this.#servers.push(server);
    this.#closing.defer(() => server.stop(true));
  }
}

function pathPrefixesOf(upstreams: readonly Upstream[]): string[] {
  const prefixes = upstreams.flatMap(({ settings }) => settings.pathPrefix ?? []);
  return [...new Set(prefixes)];
}
