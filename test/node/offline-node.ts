import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { ContainerdRuntime } from "../../src/node/containerd/runtime.ts";
import { DEFAULT_STATE_DIRECTORY } from "../../src/node/journal.ts";
import { NodeFiles } from "../../src/node/files/node-files.ts";
import { NodeContext } from "../../src/node/node-context.ts";
import { watch } from "../../src/node/wiring/watch.ts";
import { type TempDir, tempDir } from "../harness/temp-dir.ts";

const cri = `plugins."io.containerd.grpc.v1.cri"`;
const config = `version = 2
[${cri}.registry.mirrors."ghcr.io"]
  endpoint = ["http://10.0.0.1:5010"]
[${cri}.registry.configs."own.test".auth]
  username = "u"
  password = "never shown"
`;
const status = "Package: containerd\nStatus: install ok installed\nVersion: 1.7.24~ds1-6\n\n";

/** The files of a node that is not running, below a root directory. */
export async function offlineNode(): Promise<TempDir> {
  const dir = await tempDir("root");
  for (const [path, text] of Object.entries({
    "etc/containerd/config.toml": config,
    "var/lib/dpkg/status": status,
  })) {
    mkdirSync(dirname(dir.file(path)), { recursive: true });
    writeFileSync(dir.file(path), text);
  }
  return dir;
}

/** A fake cache whose list of namespaces the test controls. */
export function serveNamespaces(names: () => readonly string[]) {
  const server = Bun.serve({
    port: 0,
    fetch: ({ url }) =>
      url.endsWith("/namespaces") ? Response.json({ namespaces: names() }) : new Response("{}"),
  });
  return Object.assign(server, { [Symbol.asyncDispose]: () => server.stop(true) });
}

/** Runs a watcher on the node in this process until it is disposed of. `lines` are its reports. */
export function startWatching(dir: TempDir, { repair = false } = {}) {
  const files = new NodeFiles(dir.path);
  const runtime = new ContainerdRuntime({ files, filesOnly: true });
  const stateDirectory = DEFAULT_STATE_DIRECTORY;
  const context = new NodeContext({ files, runtime, stateDirectory, filesOnly: true });
  const stop = new AbortController();
  const lines: string[] = [];
  const report = (line: string): void => {
    lines.push(line);
  };
  const watching = watch({
    context,
    graceMs: 300,
    intervalMs: 10,
    repair,
    signal: stop.signal,
    report,
  });
  return {
    lines,
    stop: () => stop.abort(),
    async [Symbol.asyncDispose]() {
      stop.abort();
      await watching;
    },
  };
}
