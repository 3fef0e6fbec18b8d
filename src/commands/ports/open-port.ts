import { type Address, formatAddress } from "../../config/parsing/address.ts";
import { isSameHost, isWildcardHost } from "../../config/parsing/host-overlap.ts";
import {
  adoptSocket,
  type InheritedSocket,
  InheritedSocketError,
  takeInheritedSockets,
} from "../../server/listen/inherited-sockets.ts";
import { portProblem } from "./port-problem.ts";

/** The cache cannot listen at an address. The message says what to do. */
export class ListenError extends Error {
  override readonly name = "ListenError";
}

type Server = Bun.Server<undefined>;

/** A server, and the port at which clients reach it. */
interface Opened<Listening = Server> {
  readonly server: Listening;
  readonly port: number;
}

/** Opens the ports of a cache, at the sockets that systemd passed where there are any. */
export class Ports {
  readonly #inherited: Set<InheritedSocket>;

  /** @throws ListenError */
  constructor(env: Record<string, string | undefined>) {
    this.#inherited = new Set(asListenError(() => takeInheritedSockets(env, process.pid)));
  }

  /**
   * Starts a server at an address, or at the inherited socket for it.
   *
   * @param setting the setting that names the address, for the error
   * @throws ListenError
   */
  open(setting: string, address: Address, serve: (at: Address) => Server): Opened {
    const socket = this.#take(setting, address);
    if (!socket) return openPort(setting, address, () => serve(address));
    const temporary = { host: "127.0.0.1", port: 0 };
    const { server } = openPort(setting, temporary, () => serve(temporary));
    try {
      asListenError(() => adoptSocket(server, socket));
    } catch (error) {
      void server.stop(true);
      throw error;
    }
    return { server, port: address.port };
  }

  /**
   * Refuses inherited sockets that no server uses: connections to them would wait for ever.
   *
   * @throws ListenError
   */
  expectNoneLeft(): void {
    const [left] = this.#inherited;
    if (!left) return;
    const at = formatAddress(left.address);
    throw new ListenError(
      `systemd opened ${at} (entrepot.socket), but no setting listens there: remove its ListenStream, or set listen, or the port or listen of an upstream, to it`,
    );
  }

  /**
   * The inherited socket for an address. A wildcard leaves to systemd at which address of the
   * machine the port is open.
   *
   * @throws ListenError if systemd opened the port at several addresses, or at more than that address
   */
  #take(setting: string, { host, port }: Address): InheritedSocket | undefined {
    const candidates = [...this.#inherited].filter(({ address }) => address.port === port);
    if (isWildcardHost(host) && candidates.length > 1) {
      throw new ListenError(
        `systemd opened port ${port} at two addresses (entrepot.socket), but a server can have only one: write ListenStream=${port} once, which covers IPv4 and IPv6`,
      );
    }
    const exact = candidates.find(({ address }) => isSameHost(address.host, host));
    const wider = candidates.find(({ address }) => isWildcardHost(address.host));
    if (!exact && wider && !isWildcardHost(host)) {
      const [opened, wanted] = [formatAddress(wider.address), formatAddress({ host, port })];
      throw new ListenError(
        `systemd opened ${opened} (entrepot.socket), which is more than ${setting} ${wanted}: write ListenStream=${wanted}`,
      );
    }
    const taken = exact ?? (isWildcardHost(host) ? candidates[0] : undefined);
    if (taken) this.#inherited.delete(taken);
    return taken;
  }
}

function asListenError<T>(work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof InheritedSocketError) throw new ListenError(cause.message, { cause });
    throw cause;
  }
}

/** @throws ListenError */
export function openPort<Listening extends { readonly port?: number | undefined }>(
  setting: string,
  address: Address,
  serve: () => Listening,
): Opened<Listening> {
  try {
    const server = serve();
    return { server, port: server.port ?? address.port };
  } catch (cause) {
    throw new ListenError(portProblem(setting, address, cause), { cause });
  }
}
