import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { apply } from "../../src/node/wiring/apply.ts";
import { ContainerdRuntime } from "../../src/node/containerd/runtime.ts";
import { hostsFindings } from "../../src/node/containerd/findings/hosts-findings.ts";
import { parseContainerdVersion, traitsOf } from "../../src/node/containerd/traits.ts";
import { DEFAULT_STATE_DIRECTORY } from "../../src/node/journal.ts";
import { FilesFault, NodeFiles } from "../../src/node/files/node-files.ts";
import type { DesiredState } from "../../src/node/plan.ts";
import { rollback } from "../../src/node/wiring/rollback.ts";
import { NodeContext } from "../../src/node/node-context.ts";
import { tempDir } from "../harness/temp-dir.ts";
import { tree } from "./tree.ts";

const VERSION = "1.7.24";
const CERTS = "/etc/containerd/certs.d";
const cri = `plugins."io.containerd.grpc.v1.cri"`;
const SSL = join(import.meta.dir, "../golden/node/mirrors-with-tls-and-credentials/before/etc/ssl");
const pem = readFileSync(join(SSL, "client.pem"), "utf8");
const options = { useDefault: false, adopt: true, replace: false, dialTimeout: "1s" };
const overTls = { ...options, cache: "https://cache.test:5000", cacheCa: pem };

/** A node's files and the desired states that are applied to it in turn. A rollback comes last. */
const cases: { name: string; files: Record<string, string>; states: DesiredState[] }[] = [
  {
    name: "a cache over TLS, one without TLS, and the first one for another registry",
    files: { "etc/containerd/config.toml": "version = 2\n" },
    states: [
      { ...overTls, namespaces: ["ghcr.io", "quay.io"] },
      { ...options, cache: "http://cache.test:5000", namespaces: ["docker.io"] },
      { ...overTls, namespaces: ["docker.io"] },
    ],
  },
  {
    name: "a second hosts directory whose files are copied with the certificates that they name",
    files: {
      "etc/containerd/config.toml": `version = 2\n[${cri}.registry]\n  config_path = "${CERTS}:/etc/docker/certs.d"\n`,
      "etc/docker/certs.d/own.test/hosts.toml": `server = "https://own.test"\n[host."https://m.test"]\n  ca = "z.pem"\n  client = [["a.cert", "a.key"]]\n`,
      "etc/docker/certs.d/own.test/z.pem": pem,
      "etc/docker/certs.d/own.test/a.cert": pem,
      "etc/docker/certs.d/own.test/a.key": readFileSync(join(SSL, "client.key"), "utf8"),
    },
    states: [{ ...overTls, namespaces: ["ghcr.io"] }],
  },
];

for (const { name, files: initial, states } of cases) {
  test(`${name}: every intermediate state has complete hosts.toml files and certificates`, async () => {
    await using dir = await tempDir("steps");
    for (const [path, text] of Object.entries(initial)) {
      mkdirSync(dirname(dir.file(path)), { recursive: true });
      writeFileSync(dir.file(path), text);
    }
    const original = tree(dir.file("etc"));
    const files = new NodeFiles(dir.path);
    const runtime = new ContainerdRuntime({ files, version: VERSION, filesOnly: true });
    const traits = traitsOf(parseContainerdVersion(VERSION) ?? expect.unreachable());
    let syscalls = 0;
    let isDiskFull = true;
    const beforeSyscall = (operation: string, path: string): void => {
      syscalls += 1;
      const defects = hostsFindings(files, CERTS, traits).filter(({ code }) =>
        ["hosts-certificate", "hosts-syntax", "hosts-empty-directory"].includes(code),
      );
      expect({ operation, path, defects }).toEqual({ operation, path, defects: [] });
      if (isDiskFull && operation === "rename" && path === "/etc/containerd/config.toml") {
        isDiskFull = false;
        throw new FilesFault("full", path, "no space left on device");
      }
    };
    const stateDirectory = DEFAULT_STATE_DIRECTORY;
    const context = new NodeContext({
      files,
      runtime,
      stateDirectory,
      filesOnly: true,
      beforeSyscall,
    });
    const confirm = (): Promise<boolean> => Promise.resolve(true);
    const report = (): void => {};
    const rest = { all: false, shouldProbe: false, probeImages: [], waitMs: 0, cache: undefined };
    const [first = expect.unreachable()] = states;
    const failed = await apply({ context, desired: first, confirm, report, ...rest });
    expect(failed.outcome).toBe("reverted");
    expect(tree(dir.file("etc"))).toEqual(original);
    for (const desired of states) {
      const { outcome, plan } = await apply({ context, desired, confirm, report, ...rest });
      expect({ outcome, obstacles: plan.obstacles }).toEqual({ outcome: "applied", obstacles: [] });
      expect(files.read("/etc/containerd/entrepot-ca.pem") !== undefined).toBe(
        "cacheCa" in desired,
      );
    }
    expect(await rollback({ context, confirm, report })).toMatchObject({
      outcome: "rolled-back",
    });
    expect(syscalls).toBeGreaterThan(20);
    expect(tree(dir.file("etc"))).toEqual(original);
  });
}
