import { mkdir, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { startDockerRegistry } from "../test/harness/registries/docker-registry.ts";
import { localUpstream } from "../test/harness/cache/entrepot.ts";
import { freePort } from "../test/harness/free-port.ts";
import { startProcess } from "../test/harness/processes.ts";
import { nginxCache, nginxStatic } from "./nginx.ts";
import type { StartOptions } from "./start-options.ts";

/** Entrepot, with so many threads that accept connections. */
type WithWorkers = `workers-${1 | 2}`;

export type SystemName =
  "entrepot" | "traced" | WithWorkers | "docker-registry" | "nginx-cache" | "nginx-static";

export interface Running extends AsyncDisposable {
  readonly name: SystemName;
  readonly pid: number;
  /** The URL of its metrics, if it has any. */
  readonly metrics?: string;
  /** The URL of a path such as `blobs/sha256:…` in the repository `bench/app`. */
  at(this: void, path: string): string;
}

/** Starts one of the compared systems. */
export async function start(name: SystemName, options: StartOptions): Promise<Running> {
  await mkdir(options.data, { recursive: true });
  switch (name) {
    case "entrepot":
      return entrepot(options);
    case "traced":
      return traced(options);
    case "workers-1":
    case "workers-2":
      return { ...(await entrepot(options, ["--workers", name.slice(-1)])), name };
    case "docker-registry":
      return dockerRegistry(options);
    case "nginx-cache":
      return nginx(name, options, (port) => nginxCache(options, port));
    case "nginx-static":
      return nginx(name, options, (port) => nginxStatic(options, port));
  }
}

const ANY_CERTIFICATE = { tls: { rejectUnauthorized: false } };
const PROGRAM = fileURLToPath(new URL("../bin/entrepot", import.meta.url));

/**
 * Entrepot as in production, with a log line per request. The log goes to a file: reading it here
 * would use a CPU core of the measured machine.
 */
async function entrepot(
  { upstream, data, scratch, maxSize, tls, cluster }: StartOptions,
  args: readonly string[] = [],
  more: object = {},
): Promise<Running> {
  // Several may run at once.
  const name = basename(data);
  const [config, log] = [scratch.file(`${name}.yaml`), scratch.file(`${name}.log`)];
  const settings = { ...localUpstream(upstream), tagTtl: "1h" };
  const storage = maxSize === undefined ? {} : { storage: { maxSize, minFree: 0 } };
  const identity = tls ? { tls: { certificate: tls.certificateFile, key: tls.keyFile } } : {};
  const joined = cluster === undefined ? {} : { cluster };
  const all = {
    ...storage,
    ...identity,
    ...joined,
    ...more,
    upstreams: { "bench.test": settings },
  };
  await writeFile(config, JSON.stringify(all)); // JSON is valid YAML.
  const [address, admin] = [`127.0.0.1:${freePort()}`, `127.0.0.1:${freePort()}`];
  const flags = ["--config", config, "--data", data, "--listen", address, "--admin", admin];
  const serve = ["serve", ...flags, ...args, "--log-format", "json"];
  const url = `${tls ? "https" : "http"}://${address}`;
  const child = await startProcess({
    name: "entrepot",
    command: ["sh", "-c", `exec "$0" "$@" > '${log}'`, PROGRAM, ...serve],
    ready: async () => (await fetch(`${url}/healthz`, ANY_CERTIFICATE)).ok,
  });
  return {
    name: "entrepot",
    pid: child.pid,
    metrics: `http://${admin}/metrics`,
    at: (path) => `${url}/v2/bench/app/${path}?ns=bench.test`,
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
  };
}

/** One of a hundred pulls is traced, for a receiver that takes all spans. */
async function traced(options: StartOptions): Promise<Running> {
  const receiver = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async (request) => {
      await request.bytes();
      return Response.json({});
    },
  });
  const endpoint = receiver.url.origin;
  const running = await entrepot(options, [], { tracing: { endpoint, sample: 0.01 } });
  return {
    ...running,
    name: "traced",
    async [Symbol.asyncDispose]() {
      await running[Symbol.asyncDispose]();
      await receiver.stop(true);
    },
  };
}

async function dockerRegistry({ upstream, data, tls }: StartOptions): Promise<Running> {
  const options = { storage: data, proxy: { remoteurl: upstream } };
  const registry = await startDockerRegistry({ ...options, ...(tls ? { tls } : {}) });
  return {
    name: "docker-registry",
    pid: registry.pid,
    at: (path) => `${registry.url}/v2/bench/app/${path}`,
    [Symbol.asyncDispose]: () => registry[Symbol.asyncDispose](),
  };
}

async function nginx(
  name: SystemName,
  { scratch, tls }: StartOptions,
  configure: (port: number) => Promise<string>,
): Promise<Running> {
  const port = freePort();
  const file = scratch.file(`${name}.conf`);
  await writeFile(file, await configure(port));
  const url = `${tls ? "https" : "http"}://127.0.0.1:${port}`;
  const child = await startProcess({
    name,
    command: ["/usr/sbin/nginx", "-c", file, "-p", scratch.path],
    ready: async () => (await fetch(`${url}/ready`, ANY_CERTIFICATE)).ok,
  });
  return {
    name,
    pid: child.pid,
    at: (path) => `${url}/v2/bench/app/${path}`,
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
  };
}
