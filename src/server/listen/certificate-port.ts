import type { Socket, TCPSocketListener } from "bun";
import { X509Certificate } from "node:crypto";
import type { Identity } from "../../config/settings.ts";
import type { Address } from "../../config/parsing/address.ts";
import type { ShownCertificate } from "./shown-certificate.ts";
import { SocketPipe } from "./socket-pipe.ts";

/** How long a client may take to shake hands, in seconds. */
const HANDSHAKE_TIMEOUT = 10;
/** More connections than nodes keep open at once. */
const MAX_CONNECTIONS = 4096;

export interface CertificatePortOptions {
  readonly address: Address;
  readonly identity: Identity;
  /** Who signs the certificates of clients, as PEM text. */
  readonly ca: string;
  /**
   * Opens the server to which connections are handed on, at a port of loopback that the system chooses.
   *
   * @param whose tells whose a connection is, by its port there; nobody else's is to be answered
   */
  readonly serve: (
    address: Address,
    whose: (port: number) => ShownCertificate | undefined,
  ) => Bun.Server<undefined>;
}

interface Client {
  readonly shown: ShownCertificate;
  readonly toServer: SocketPipe;
  readonly toClient: SocketPipe;
}

/**
 * A port at which clients may show certificates (mutual TLS). Bun.serve says nothing of a peer's certificate,
 * so TLS ends here, and each connection is handed on to a server on loopback that is told whose it is. A
 * certificate that is not signed by `ca`, or not valid now, ends the handshake's connection; none is fine.
 */
export class CertificatePort {
  readonly #options: CertificatePortOptions;
  readonly #server: Bun.Server<undefined>;
  readonly #shown = new Map<number, ShownCertificate>();
  #listener: TCPSocketListener<{ client?: Client }>;
  #identity: Identity;
  #connections = 0;

  /** @throws Error if it cannot listen */
  constructor(options: CertificatePortOptions) {
    this.#options = options;
    this.#identity = options.identity;
    this.#listener = this.#listen(options.address);
    this.#server = options.serve({ host: "127.0.0.1", port: 0 }, (port) => this.#shown.get(port));
  }

  get port(): number {
    return this.#listener.port;
  }

  /** Presents another certificate to new connections. */
  renew(identity: Identity): void {
    const { certificate, key } = this.#identity;
    if (identity.certificate === certificate && identity.key === key) return;
    this.#identity = identity;
    const { port } = this.#listener;
    // A client that connects in the moment between is refused, and tries again.
    this.#listener.stop(false);
    this.#listener = this.#listen({ host: this.#options.address.host, port });
  }

  /** Accepts no more connections. Resolves once the responses in progress are sent, or at once. */
  async stop(closeConnections = false): Promise<void> {
    this.#listener.stop(closeConnections);
    await this.#server.stop(closeConnections);
  }

  #listen({ host, port }: Address): TCPSocketListener<{ client?: Client }> {
    const { certificate: cert, key } = this.#identity;
    return Bun.listen<{ client?: Client }>({
      hostname: host,
      port,
      // Bun shares ports by default: a second cache would get half of the connections.
      exclusive: true,
      tls: { cert, key, ca: this.#options.ca, requestCert: true, rejectUnauthorized: false },
      data: {},
      socket: {
        open: (socket) => {
          socket.data = {};
          this.#connections += 1;
          socket.timeout(HANDSHAKE_TIMEOUT);
          if (this.#connections > MAX_CONNECTIONS) socket.terminate();
        },
        handshake: (socket) => {
          socket.timeout(0);
          const shown = shownBy(socket);
          if (shown) void this.#handOn(socket, shown);
          else socket.terminate();
        },
        timeout: (socket) => socket.terminate(),
        data: (socket, bytes) => socket.data.client?.toServer.write(bytes),
        drain: (socket) => socket.data.client?.toClient.drained(),
        close: (socket) => {
          this.#connections -= 1;
          socket.data.client?.toServer.end();
        },
      },
    });
  }

  async #handOn(socket: Socket<{ client?: Client }>, shown: ShownCertificate): Promise<void> {
    const toServer = new SocketPipe(socket);
    const toClient = new SocketPipe();
    const client = { shown, toServer, toClient };
    socket.data.client = client;
    toClient.opened(socket);
    let port = 0;
    const server = await Bun.connect({
      hostname: "127.0.0.1",
      port: this.#server.port ?? 0,
      socket: {
        open: (opened) => {
          port = opened.localPort;
          this.#shown.set(port, shown);
          toClient.reads(opened);
          toServer.opened(opened);
        },
        data: (_, bytes) => toClient.write(bytes),
        drain: () => toServer.drained(),
        close: () => {
          this.#shown.delete(port);
          toClient.end();
        },
      },
    }).catch(() => undefined);
    if (!server) socket.terminate();
  }
}

/** Whose a connection is; `undefined` if it showed a certificate that is not trusted. */
function shownBy(socket: Socket<unknown>): ShownCertificate | undefined {
  const address = socket.remoteAddress.replace(/^::ffff:/, "");
  // Undefined without one, other than its type says.
  const peer = socket.getPeerCertificate() as { readonly raw?: Buffer } | undefined;
  const raw = peer?.raw;
  if (!raw) return { address };
  if (!socket.authorized) return undefined;
  // A name with a comma in it is quoted there, with the comma escaped.
  const names = new X509Certificate(raw).subjectAltName?.split(", ") ?? [];
  return { address, certificate: names };
}
