import type { Identity } from "../../config/settings.ts";
import type { Address } from "../../config/parsing/address.ts";
import { exchangeSockets, openWithDescriptor } from "./listening-sockets.ts";
import { IDLE_TIMEOUT, listenForNodes, type NodeListenerOptions } from "./node-listener.ts";

/** After this, in milliseconds, a connection that was idle all the time has been closed. */
const LEAVING_MS = (IDLE_TIMEOUT + 5) * 1000;

type Server = Bun.Server<undefined>;

/** What a port has for as long as it is open. */
export type NodePortOptions = Omit<NodeListenerOptions, "address" | "tls">;

/** One server of the port, with the certificate that it was opened with. */
interface Generation {
  readonly server: Server;
  /** At which it listens; unknown where the system is not Linux. */
  readonly descriptor: number | undefined;
  /** From now on each of its answers is the last one of its connection. */
  leave(): void;
}

/**
 * A node-facing port whose certificate can be exchanged.
 *
 * Bun.serve keeps the certificate that it was opened with (oven-sh/bun#43815). To stop it and to open
 * another refuses who connects in between, and resets handshakes that are under way. Hence another
 * server is opened beside it and gets its socket, while the first one answers what it has.
 */
export class NodePort {
  readonly #options: NodePortOptions;
  #tls: Identity | undefined;
  #now: Generation | undefined;
  /** Those before, each until all that it had is answered. */
  readonly #older = new Set<Server>();

  constructor(options: NodePortOptions, tls?: Identity) {
    this.#options = options;
    this.#tls = tls;
  }

  /** Begins to listen; this server may be given another socket afterwards. */
  open(address: Address): Server {
    this.#now = this.#generation(address, this.#tls);
    return this.#now.server;
  }

  /**
   * Shows another certificate to who connects from now on. A port of plain HTTP stays one.
   *
   * @throws where it cannot be shown; the port then goes on as it was
   */
  renew(tls: Identity): void {
    const [shown, before] = [this.#tls, this.#now];
    if (!shown || !before || (shown.certificate === tls.certificate && shown.key === tls.key)) {
      return;
    }
    // At a port that nobody was told of, until it has the other's socket.
    const next = this.#generation({ host: "127.0.0.1", port: 0 }, tls);
    try {
      if (before.descriptor === undefined || next.descriptor === undefined) {
        throw new Error("the socket of a server was not found: restart the cache");
      }
      exchangeSockets(before.descriptor, next.descriptor);
    } catch (error) {
      void next.server.stop(true);
      throw error;
    }
    this.#tls = tls;
    this.#now = next;
    this.#older.add(before.server);
    before.leave();
    const release = (): void => {
      void before.server.stop().then(() => this.#older.delete(before.server));
    };
    setTimeout(release, LEAVING_MS).unref();
  }

  /** Takes nothing new; resolves once all is answered, or at once where connections are to be cut. */
  async stop(cut = false): Promise<void> {
    const servers = this.#now ? [...this.#older, this.#now.server] : [];
    await Promise.all(servers.map((server) => server.stop(cut)));
  }

  #generation(address: Address, tls: Identity | undefined): Generation {
    if (!tls) {
      const server = listenForNodes({ ...this.#options, address });
      return { server, descriptor: undefined, leave: () => {} };
    }
    let isLeaving = false;
    const secure = { identity: tls, isLeaving: () => isLeaving };
    const [server, descriptor] = openWithDescriptor(() =>
      listenForNodes({ ...this.#options, address, tls: secure }),
    );
    const leave = (): void => {
      isLeaving = true;
    };
    return { server, descriptor, leave };
  }
}
