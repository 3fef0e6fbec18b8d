import type { Identity } from "../../config/settings.ts";
import type { Address } from "../../config/parsing/address.ts";
import {
  exchangeSockets,
  lengthenQueue,
  libc,
  openWithDescriptor,
  refuseWaiting,
  register,
  type Registration,
  share,
  withdraw,
} from "./listening-sockets.ts";
import type { Pausable } from "./connection-gate.ts";

/** Idle timeout of connections, in seconds. */
export const IDLE_TIMEOUT = 120;

/** After this time every idle connection has reached its idle timeout, in milliseconds. */
const DRAIN_MS = (IDLE_TIMEOUT + 5) * 1000;

type Server = Bun.Server<undefined>;

/** What a server speaks TLS with. */
export interface ServerTls {
  readonly identity: Identity;
  /** Whether each connection is to be closed after its next response. */
  readonly isDraining: () => boolean;
}

/** Opens a server of the port, whose connections are idle for at most `IDLE_TIMEOUT`. */
export type Listen = (address: Address, tls: ServerTls | undefined) => Server;

/** One server of the port, with the certificate with which it was opened. */
interface Generation {
  readonly server: Server;
  /** The file descriptor of its listening socket; `undefined` if it cannot be found. */
  readonly descriptor: number | undefined;
  /** From now on, closes each connection after its next response. */
  drain(): void;
}

/**
 * A port whose certificate can be renewed without downtime.
 *
 * Bun.serve keeps the certificate with which it was opened (oven-sh/bun#43815). Stopping it and
 * opening another one would refuse connections in between and reset handshakes in progress. Hence a
 * new server is opened and takes over the listening socket, while the old one drains.
 */
export class RenewablePort implements Pausable {
  readonly #listen: Listen;
  #tls: Identity | undefined;
  #current: Generation | undefined;
  /** Set while this thread accepts no connections. */
  #withdrawn: Registration | undefined;
  #isPaused = false;
  #isDelegated = false;
  #isStopped = false;
  /** Older servers that still have connections. */
  readonly #draining = new Set<Server>();

  constructor(listen: Listen, tls?: Identity) {
    this.#listen = listen;
    this.#tls = tls;
  }

  /** Starts to listen. The returned server may be given an inherited socket afterwards. */
  open(address: Address): Server {
    this.#current = this.#generation(address, this.#tls);
    return this.#current.server;
  }

  /**
   * Presents another certificate to new connections. A port without TLS stays without it.
   *
   * @throws Error if that is not possible; the port then continues with the old certificate
   */
  renew(tls: Identity): void {
    const [present, previous] = [this.#tls, this.#current];
    if (!present || !previous) return;
    if (present.certificate === tls.certificate && present.key === tls.key) return;
    // The sockets are exchanged where they are registered.
    this.#register();
    // A temporary port, until it takes over the socket.
    const next = this.#generation({ host: "127.0.0.1", port: 0 }, tls);
    try {
      if (previous.descriptor === undefined || next.descriptor === undefined) {
        throw new Error("the listening socket was not found: restart the cache");
      }
      exchangeSockets(previous.descriptor, next.descriptor);
    } catch (error) {
      void next.server.stop(true);
      this.#update();
      throw error;
    }
    this.#tls = tls;
    this.#current = next;
    this.#update();
    this.#draining.add(previous.server);
    previous.drain();
    const stop = (): void => {
      void previous.server.stop().then(() => this.#draining.delete(previous.server));
    };
    setTimeout(stop, DRAIN_MS).unref();
  }

  pause(): void {
    this.#isPaused = true;
    this.#update();
  }

  resume(): void {
    this.#isPaused = false;
    this.#update();
  }

  refuseWaiting(): void {
    const descriptor = this.#current?.descriptor;
    if (this.#isPaused && descriptor !== undefined) refuseWaiting(descriptor);
  }

  /** A descriptor of the listening socket for another thread, which closes it; none if that is not possible. */
  share(): number | undefined {
    const descriptor = this.#current?.descriptor;
    return descriptor === undefined ? undefined : share(descriptor);
  }

  /** Leaves it to other threads to accept connections, or does so itself again. */
  delegate(isDelegated: boolean): void {
    this.#isDelegated = isDelegated;
    this.#update();
  }

  #update(): void {
    if (this.#isStopped) return;
    const descriptor = this.#current?.descriptor;
    if (!this.#isPaused && !this.#isDelegated) this.#register();
    else if (descriptor !== undefined) this.#withdrawn ??= withdraw(descriptor);
  }

  #register(): void {
    const descriptor = this.#current?.descriptor;
    if (this.#withdrawn && descriptor !== undefined) register(libc(), descriptor, this.#withdrawn);
    this.#withdrawn = undefined;
  }

  /**
   * Accepts no more connections. Resolves once the responses in progress are sent, or at once if
   * connections are to be closed.
   */
  async stop(closeConnections = false): Promise<void> {
    // A descriptor that is closed may soon be that of something else.
    this.#withdrawn = undefined;
    this.#isStopped = true;
    const servers = this.#current ? [...this.#draining, this.#current.server] : [];
    await Promise.all(servers.map((server) => server.stop(closeConnections)));
  }

  #generation(address: Address, tls: Identity | undefined): Generation {
    let isDraining = false;
    const withTls = tls && { identity: tls, isDraining: () => isDraining };
    const [server, descriptor] = openWithDescriptor(() => this.#listen(address, withTls));
    if (descriptor !== undefined) lengthenQueue(descriptor);
    const drain = (): void => {
      isDraining = true;
    };
    return { server, descriptor, drain };
  }
}
