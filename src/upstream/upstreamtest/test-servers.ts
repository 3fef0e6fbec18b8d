/** Test servers on loopback, under names that only `loopbackResolver` resolves. */
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer as createTlsServer } from "node:tls";
import type { UpstreamSettings } from "../../config/settings.ts";
import { parseDigest, type Digest } from "../../oci/digest.ts";
import { Fault, type FaultDetail } from "../../oci/fault.ts";
import {
  parseRepositoryName,
  parseTag,
  parseUpstreamName,
  type RepositoryName,
  type Tag,
} from "../../oci/names.ts";
import type { Resolver } from "../transport/address.ts";
import { Registry } from "../registry.ts";
import { openRegistryTransport } from "../registry-transport.ts";

export interface RecordedRequest {
  readonly method: string;
  readonly host: string;
  /** With the query. */
  readonly path: string;
  readonly headers: Headers;
}

export interface TestServer extends Disposable {
  readonly port: number;
  readonly requests: readonly RecordedRequest[];
}

type Handler = (request: RecordedRequest) => Response | Promise<Response>;

/** An HTTP server on a port of its own that records its requests. */
export function serve(handler: Handler, tls?: { cert: string; key: string }): TestServer {
  const requests: RecordedRequest[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    ...(tls ? { tls } : {}),
    fetch: (request) => {
      const url = new URL(request.url);
      const recorded: RecordedRequest = {
        method: request.method,
        host: request.headers.get("host") ?? "",
        path: url.pathname + url.search,
        headers: request.headers,
      };
      requests.push(recorded);
      return handler(recorded);
    },
  });
  return {
    port: Number(server.port),
    requests,
    [Symbol.dispose]: () => void server.stop(true),
  };
}

export interface RawServer extends Disposable {
  readonly port: number;
  /** The number of connections made so far. */
  readonly connections: () => number;
  /** The number of open connections. */
  readonly open: () => number;
}

/** Responds to the first bytes of each connection by hand: for responses that no HTTP server would send. */
export async function serveRaw(
  respond: (socket: Socket) => void,
  tls?: { cert: string; key: string },
): Promise<RawServer> {
  const sockets = new Set<Socket>();
  let connections = 0;
  const accept = (socket: Socket): void => {
    connections += 1;
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
    socket.once("data", () => respond(socket));
  };
  const server = tls ? createTlsServer(tls, accept) : createServer(accept);
  const listening = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", listening.resolve);
  await listening.promise;
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    port: address.port,
    connections: () => connections,
    open: () => sockets.size,
    [Symbol.dispose]: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

/** A self-signed certificate for some names, and its key, in PEM. */
export async function certificate(...names: string[]): Promise<{ cert: string; key: string }> {
  const folder = await mkdtemp(join(tmpdir(), "entrepot-tls-"));
  const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  try {
    const alternatives = names.map((name) => `DNS:${name}`).join(",");
    const result =
      await Bun.$`openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
      -keyout ${key} -out ${cert} -days 2 -subj /CN=test -addext ${`subjectAltName=${alternatives}`}`
        .quiet()
        .nothrow();
    if (result.exitCode !== 0) throw new Error(result.stderr.toString());
    return { cert: await Bun.file(cert).text(), key: await Bun.file(key).text() };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Resolves every name to 127.0.0.1. */
export const loopbackResolver: Resolver = async () => ["127.0.0.1"];

export function settings(
  url: string,
  overrides: Partial<Omit<UpstreamSettings, "url" | "name">> = {},
): UpstreamSettings {
  const name = parseUpstreamName("reg.test");
  if (!name) throw new Error("no name");
  return {
    name,
    url: new URL(url),
    tagTtl: 30_000,
    revokedAfter: 3_600_000,
    allowPrivate: true,
    trustedRealms: [],
    maxConnections: 32,
    prefetch: "on",
    ...overrides,
  };
}

export function repository(text: string): RepositoryName {
  return parseRepositoryName(text) ?? fail(text);
}

export function tag(text: string): Tag {
  return parseTag(text) ?? fail(text);
}

export function digest(text: string): Digest {
  return parseDigest(text) ?? fail(text);
}

function fail(text: string): never {
  throw new Error(`the test's own ${text} is not valid`);
}

/** The reason of a promise that must reject. */
export function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => Promise.reject(new Error("it did not reject")),
    (error: unknown) => error,
  );
}

/** The detail of the Fault that a promise must reject with. */
export async function faultOf(promise: Promise<unknown>): Promise<FaultDetail> {
  const error = await rejection(promise);
  if (error instanceof Fault) return error.detail;
  throw error;
}

/** A response without Content-Length. Its end is delayed, or Bun would add the length. */
export function chunked(bytes: Uint8Array): Response {
  return new Response(
    new ReadableStream({
      async start(stream) {
        stream.enqueue(bytes);
        await Bun.sleep(10);
        stream.close();
      },
    }),
  );
}

/** The client for a registry on loopback, as the upstream reg.test. */
export function registry(
  port: number,
  path = "",
  overrides: Parameters<typeof settings>[1] = {},
): Registry {
  const transport = openRegistryTransport({ resolver: loopbackResolver });
  return new Registry(settings(`http://reg.test:${port}${path}`, overrides), transport);
}
