/** Servers for the tests of this folder: real sockets on loopback, under names that only the tests' resolver knows. */
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
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

export interface Seen {
  readonly method: string;
  readonly host: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: Headers;
}

export interface TestServer extends Disposable {
  readonly port: number;
  readonly seen: readonly Seen[];
}

type Handler = (seen: Seen) => Response | Promise<Response>;

export function serve(handler: Handler, tls?: { cert: string; key: string }): TestServer {
  const seen: Seen[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    ...(tls ? { tls } : {}),
    fetch: (request) => {
      const url = new URL(request.url);
      const one: Seen = {
        method: request.method,
        host: request.headers.get("host") ?? "",
        path: url.pathname + url.search,
        headers: request.headers,
      };
      seen.push(one);
      return handler(one);
    },
  });
  return {
    port: Number(server.port),
    seen,
    [Symbol.dispose]: () => void server.stop(true),
  };
}

export interface RawServer extends Disposable {
  readonly port: number;
  /** Connections that were made. */
  readonly connections: () => number;
  /** Connections that are open. */
  readonly open: () => number;
}

/** Answers each connection's first bytes by hand: for what an HTTP server would not send. */
export async function serveRaw(answer: (socket: Socket) => void): Promise<RawServer> {
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
    socket.once("data", () => answer(socket));
  });
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

/** A certificate of its own authority for some names, in PEM. */
export async function certificate(...names: string[]): Promise<{ cert: string; key: string }> {
  const folder = await mkdtemp(join(tmpdir(), "entrepot-tls-"));
  const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  try {
    const alternatives = names.map((name) => `DNS:${name}`).join(",");
    const made = await Bun.$`openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
      -keyout ${key} -out ${cert} -days 2 -subj /CN=test -addext ${`subjectAltName=${alternatives}`}`
      .quiet()
      .nothrow();
    if (made.exitCode !== 0) throw new Error(made.stderr.toString());
    return { cert: await Bun.file(cert).text(), key: await Bun.file(key).text() };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Every name is on this machine. */
export const onLoopback: Resolver = async () => ["127.0.0.1"];

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
    allowPrivate: true,
    trustedRealms: [],
    maxConnections: 32,
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

/** What a promise rejects with. */
export function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => Promise.reject(new Error("it succeeded")),
    (error: unknown) => error,
  );
}

/** The fault that a promise rejects with. */
export async function faultOf(promise: Promise<unknown>): Promise<FaultDetail> {
  const error = await rejection(promise);
  if (error instanceof Fault) return error.detail;
  throw error;
}

/** A response of an unknown length: its end comes apart from its bytes, or Bun would count them. */
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

/** A registry on this machine that is known as reg.test. */
export function registry(port: number, path = ""): Registry {
  const transport = openRegistryTransport({ resolver: onLoopback });
  return new Registry(settings(`http://reg.test:${port}${path}`), transport);
}
