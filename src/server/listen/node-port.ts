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
import { IDLE_TIMEOUT, listenForNodes, type NodeListenerOptions } from "./node-listener.ts";

/** After this time every idle connection has reached its idle timeout, in milliseconds. */
const DRAIN_MS = (IDLE_TIMEOUT + 5) * 1000;

type Server = Bun.Server<undefined>;

/** The options of a port that never change while it is open. */
export type NodePortOptions = Omit<NodeListenerOptions, "address" | "tls">;

/** One server of the port, with the certificate with which it was opened. */
interface Generation {
  readonly server: Server;
  /** The file descriptor of its listening socket; `undefined` if it cannot be found. */
  readonly descriptor: number | undefined;
  /** From now on, closes each connection after its next response. */
  drain(): void;
}

/**
 * A node-facing port whose certificate can be renewed without downtime.
 *
 * Bun.serve keeps the certificate with which it was opened (oven-sh/bun#43815). Stopping it and
 * opening another one would refuse connections in between and reset handshakes in progress. Hence a
 * new server is opened and takes over the listening socket, while the old one drains.
 */
export class NodePort implements Pausable {
  readonly #options: NodePortOptions;
  #tls: Identity | undefined;
  #current: Generation | undefined;
  /** Set while this thread accepts no connections. */
  #withdrawn: Registration | undefined;
  #isPaused = false;
  #isDelegated = false;
  #isStopped = false;
  /** Older servers that still have connections. */
  readonly #draining = new Set<Server>();

  constructor(options: NodePortOptions, tls?: Identity) {
    this.#options = options;
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
    const withTls = tls ? { tls: { identity: tls, isDraining: () => isDraining } } : {};
    const [server, descriptor] = openWithDescriptor(() =>
      listenForNodes({ ...this.#options, address, ...withTls }),
    );
    if (descriptor !== undefined) lengthenQueue(descriptor);
    const drain = (): void => {
      isDraining = true;
    };
    return { server, descriptor, drain };
  }
}
