import type { Address } from "../../config/parsing/address.ts";
import {
  adoptSocket,
  type InheritedSocket,
  InheritedSocketError,
  takeInheritedSockets,
} from "../../server/listen/inherited-sockets.ts";

/** An address that cannot be listened at. */
export class ListenError extends Error {
  override readonly name = "ListenError";
}

type Server = Bun.Server<undefined>;

/** A server, and the port at which it answers. */
interface Opened {
  readonly server: Server;
  readonly port: number;
}

/** Opens the ports of a cache, or takes those that systemd opened for it. */
export class Ports {
  readonly #inherited: Map<number, InheritedSocket>;

  /** @throws ListenError */
  constructor(env: Record<string, string | undefined>) {
    const sockets = expected(() => takeInheritedSockets(env, process.pid));
    this.#inherited = new Map(sockets.map((socket) => [socket.port, socket]));
    const twice = sockets.find((socket) => this.#inherited.get(socket.port) !== socket);
    if (!twice) return;
    throw new ListenError(
      `systemd opened port ${twice.port} at two addresses (entrepot.socket), and one server has one: write ListenStream=${twice.port} once, which takes IPv4 and IPv6`,
    );
  }

  /**
   * Starts a server at an address.
   *
   * @param what the setting that names the address
   * @throws ListenError
   */
  open(what: string, address: Address, serve: (at: Address) => Server): Opened {
    const socket = this.#inherited.get(address.port);
    if (!socket) return openPort(what, address, () => serve(address));
    this.#inherited.delete(address.port);
    const standIn = { host: "127.0.0.1", port: 0 };
    const { server } = openPort(what, standIn, () => serve(standIn));
    try {
      expected(() => adoptSocket(server, socket));
    } catch (error) {
      void server.stop(true);
      throw error;
    }
    return { server, port: address.port };
  }

  /**
   * Connections would wait for ever at a socket that nobody answers at.
   *
   * @throws ListenError
   */
  expectNoneLeft(): void {
    const [port] = this.#inherited.keys();
    if (port === undefined) return;
    throw new ListenError(
      `systemd opened port ${port} (entrepot.socket), and nothing is configured to listen there: take its ListenStream out, or write it as listen, or as the port of an upstream`,
    );
  }
}

function expected<T>(work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof InheritedSocketError) throw new ListenError(cause.message, { cause });
    throw cause;
  }
}

/** @throws ListenError */
export function openPort(what: string, address: Address, serve: () => Server): Opened {
  try {
    const server = serve();
    return { server, port: server.port ?? address.port };
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    const where = `${what} ${address.host}:${address.port}`;
    throw new ListenError(`${where} cannot be opened: ${reason(code, cause)}`, { cause });
  }
}

function reason(code: unknown, cause: unknown): string {
  switch (code) {
    case "EADDRINUSE":
      return "another process listens there. Find it with `ss -ltnp`, or choose another port";
    case "EACCES":
      return "ports below 1024 need a privilege (CAP_NET_BIND_SERVICE). Choose a higher one, or let systemd open it (entrepot.socket)";
    case "EADDRNOTAVAIL":
      return "this machine does not have that address";
    default:
      return cause instanceof Error ? cause.message : String(cause);
  }
}
