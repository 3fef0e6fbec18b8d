import { expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { tempDir } from "../harness/temp-dir.ts";
import { entrepotNode } from "./program.ts";

setDefaultTimeout(60_000);

const SECRET = "s3cret";
const cri = `plugins."io.containerd.grpc.v1.cri"`;
const head = `version = 2\n[${cri}.registry]\n  config_path = "/etc/containerd/certs.d"\n`;
const hosts = `server = "https://ghcr.io"\n[host."https://u:${SECRET}@m:1"]\n  [host."https://u:${SECRET}@m:1".header]\n    authorization = "Basic ${SECRET}"\n    X-Any = ["${SECRET}"]\n`;

const nodes: [name: string, files: Record<string, string>][] = [
  [
    "a hosts.toml that is merged",
    {
      "config.toml": `${head}[${cri}.registry.headers]\n  X-Meta = ["${SECRET}"]\n`,
      "certs.d/ghcr.io/hosts.toml": hosts,
    },
  ],
  [
    "a hosts.toml that is damaged",
    { "config.toml": head, "certs.d/ghcr.io/hosts.toml": `${hosts}[broken\n` },
  ],
  [
    "an endpoint with credentials",
    {
      "config.toml": `version = 2\n[${cri}.registry.mirrors."*"]\nendpoint = ["https://u:${SECRET}@m"]\n`,
    },
  ],
];

test.each(nodes)("no command shows the secrets of %s", async (_, files) => {
  await using dir = await tempDir("secrets");
  for (const [name, text] of Object.entries(files)) {
    const path = dir.file("etc/containerd", name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
  const root = ["--root", dir.path, "--containerd-version", "1.7.24"];
  const desired = ["--cache", "http://cache:5000", "--upstream", "ghcr.io", "--adopt", ...root];
  for (const args of [
    ["check", ...root],
    ["check", "--json", ...root],
    ["plan", ...desired],
    ["apply", "--json", ...desired],
  ]) {
    const { text } = await entrepotNode(args);
    expect(text).not.toContain(SECRET);
    expect(text).not.toBe("");
  }
});
