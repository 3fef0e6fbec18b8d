import { expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { apply } from "../../src/node/apply.ts";
import { ContainerdRuntime } from "../../src/node/containerd/containerd-runtime.ts";
import { hostsFindings } from "../../src/node/containerd/findings/hosts-findings.ts";
import { parseContainerdVersion, traitsOf } from "../../src/node/containerd/traits.ts";
import { DEFAULT_STATE_DIRECTORY } from "../../src/node/journal.ts";
import { FilesFault, NodeFiles } from "../../src/node/files/node-files.ts";
import type { DesiredState } from "../../src/node/plan.ts";
import { rollback } from "../../src/node/rollback.ts";
import { NodeContext } from "../../src/node/node-context.ts";
import { tempDir } from "../harness/places.ts";
import { tree } from "./tree.ts";

const VERSION = "1.7.24";
const CERTS = "/etc/containerd/certs.d";
const cri = `plugins."io.containerd.grpc.v1.cri"`;
const pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
const plain = { useDefault: false, adopt: true, replace: false, dialTimeout: "1s" };
const overTls = { ...plain, cache: "https://cache.test:5000", cacheCa: pem };

/** What a node has, and what is wished for it, one wish after the other; a rollback comes last. */
const ways: { name: string; files: Record<string, string>; wishes: DesiredState[] }[] = [
  {
    name: "a cache over TLS, one without, and the first again for another registry",
    files: { "etc/containerd/config.toml": "version = 2\n" },
    wishes: [
      { ...overTls, namespaces: ["ghcr.io", "quay.io"] },
      { ...plain, cache: "http://cache.test:5000", namespaces: ["docker.io"] },
      { ...overTls, namespaces: ["docker.io"] },
    ],
  },
  {
    name: "a second directory whose files are copied with what they name",
    files: {
      "etc/containerd/config.toml": `version = 2\n[${cri}.registry]\n  config_path = "${CERTS}:/etc/docker/certs.d"\n`,
      "etc/docker/certs.d/own.test/hosts.toml": `server = "https://own.test"\n[host."https://m.test"]\n  ca = "z.pem"\n  client = [["a.cert", "a.key"]]\n`,
      "etc/docker/certs.d/own.test/z.pem": pem,
      "etc/docker/certs.d/own.test/a.cert": pem,
      "etc/docker/certs.d/own.test/a.key": pem,
    },
    wishes: [{ ...overTls, namespaces: ["ghcr.io"] }],
  },
];

for (const { name, files: before, wishes } of ways) {
  test(`${name}: at no step does a hosts.toml name what is missing, or stand there half`, async () => {
    await using dir = await tempDir("steps");
    for (const [path, text] of Object.entries(before)) {
      mkdirSync(dirname(dir.file(path)), { recursive: true });
      writeFileSync(dir.file(path), text);
    }
    const original = tree(dir.file("etc"));
    const files = new NodeFiles(dir.path);
    const runtime = new ContainerdRuntime({ files, version: VERSION, filesOnly: true });
    const traits = traitsOf(parseContainerdVersion(VERSION) ?? expect.unreachable());
    let steps = 0;
    let isFull = true;
    const witness = (operation: string, path: string): void => {
      steps += 1;
      const wrong = hostsFindings(files, CERTS, traits).filter(({ code }) =>
        ["hosts-certificate", "hosts-syntax", "hosts-empty-directory"].includes(code),
      );
      expect({ operation, path, wrong }).toEqual({ operation, path, wrong: [] });
      if (isFull && operation === "rename" && path === "/etc/containerd/config.toml") {
        isFull = false;
        throw new FilesFault("full", path, "no space is left");
      }
    };
    const stateDirectory = DEFAULT_STATE_DIRECTORY;
    const context = new NodeContext({ files, runtime, stateDirectory, filesOnly: true, witness });
    const confirm = (): Promise<boolean> => Promise.resolve(true);
    const say = (): void => {};
    const rest = { all: false, proves: false, probes: [], waitMs: 0, cache: undefined };
    const [first = expect.unreachable()] = wishes;
    const failed = await apply({ context, desired: first, confirm, say, ...rest });
    expect(failed.outcome).toBe("undone");
    expect(tree(dir.file("etc"))).toEqual(original);
    for (const desired of wishes) {
      const { outcome, plan } = await apply({ context, desired, confirm, say, ...rest });
      expect({ outcome, obstacles: plan.obstacles }).toEqual({ outcome: "applied", obstacles: [] });
      expect(files.read("/etc/containerd/entrepot-ca.pem") !== undefined).toBe(
        "cacheCa" in desired,
      );
    }
    expect(await rollback({ context, confirm, say })).toMatchObject({ outcome: "rolled-back" });
    expect(steps).toBeGreaterThan(20);
    expect(tree(dir.file("etc"))).toEqual(original);
  });
}
