import { mkdir, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { startDockerRegistry } from "../test/harness/docker-registry.ts";
import { localUpstream } from "../test/harness/entrepot.ts";
import { freePort } from "../test/harness/places.ts";
import { startProcess } from "../test/harness/processes.ts";
import { nginxCache, nginxStatic } from "./nginx.ts";
import type { Place } from "./place.ts";

export type SystemName = "entrepot" | "docker-registry" | "nginx-cache" | "nginx-static";

export interface Running extends AsyncDisposable {
  readonly name: SystemName;
  readonly pid: number;
  /** Its metrics, where it has any. */
  readonly metrics?: string;
  /** The whole address of a path such as `blobs/sha256:…` in `bench/app`. */
  at(this: void, path: string): string;
}

/** Starts one of the systems that are compared. */
export async function start(name: SystemName, place: Place): Promise<Running> {
  await mkdir(place.data, { recursive: true });
  switch (name) {
    case "entrepot":
      return entrepot(place);
    case "docker-registry":
      return dockerRegistry(place);
    case "nginx-cache":
      return nginx(name, place, (port) => nginxCache(place, port));
    case "nginx-static":
      return nginx(name, place, (port) => nginxStatic(place, port));
  }
}

const ANY_CERTIFICATE = { tls: { rejectUnauthorized: false } };
const PROGRAM = fileURLToPath(new URL("../bin/entrepot", import.meta.url));

/**
 * As people run it, with a line in the log for each request. They go to a file: a reader here would
 * take a core of the machine that is measured.
 */
async function entrepot({ upstream, data, scratch, maxSize, tls }: Place): Promise<Running> {
  const [config, log] = [scratch.file("entrepot.yaml"), scratch.file("entrepot.log")];
  const settings = { ...localUpstream(upstream), tagTtl: "1h" };
  const storage = maxSize === undefined ? {} : { storage: { maxSize, minFree: 0 } };
  const secure = tls ? { tls: { certificate: tls.certificateFile, key: tls.keyFile } } : {};
  const all = { ...storage, ...secure, upstreams: { "bench.test": settings } };
  await writeFile(config, JSON.stringify(all)); // YAML includes JSON.
  const [address, admin] = [`127.0.0.1:${freePort()}`, `127.0.0.1:${freePort()}`];
  const places = ["--config", config, "--data", data, "--listen", address, "--admin", admin];
  const serve = ["serve", ...places, "--log-format", "json"];
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

async function dockerRegistry({ upstream, data, tls }: Place): Promise<Running> {
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
  { scratch, tls }: Place,
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
