import { expect, setDefaultTimeout, test } from "bun:test";
import { appendFileSync, writeFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { CacheClient } from "../../src/node/cache-client.ts";
import { startEntrepot } from "../harness/cache/entrepot.ts";
import { mustRun } from "../harness/processes.ts";
import type { TempDir } from "../harness/temp-dir.ts";
import { offlineNode } from "./offline-node.ts";
import { PROGRAM, entrepotNode } from "./program.ts";

setDefaultTimeout(60_000);

/** An address at which other machines reach this one. */
const outward = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .find(({ family, internal }) => family === "IPv4" && !internal)?.address;

/** @param tokensFile of the clients that the cache knows */
const configOf = (tokensFile: string) => ({
  plainCredentials: true,
  clients: {
    tokensFile,
    rules: [{ principals: ["token:ci"], repositories: ["quay.io/**"], effect: "allow" }],
  },
  upstreams: {
    "docker.io": { access: [{ repositories: ["org/**"], access: "denied" }, { access: "open" }] },
    "ghcr.io": { access: [{ repositories: ["org/private"], access: "upstream" }] },
    "quay.io": { access: "clients" },
  },
});

/** A cache that asks for credentials for two of its registries. */
async function startAsking(dir: TempDir, listen = "127.0.0.1:0") {
  writeFileSync(dir.file("tokens"), `ci ${"t".repeat(40)}\n`);
  return startEntrepot({ config: configOf(dir.file("tokens")), listen });
}

interface PlanJson {
  readonly asking: readonly string[];
  readonly notes: readonly string[];
}

test("a plan says what the runtime does where the cache asks for credentials", async () => {
  await using dir = await offlineNode();
  await using cache = await startAsking(dir);
  const served = await (await cache.get("/entrepot/v1/namespaces")).json();
  expect(served).toEqual({
    namespaces: ["docker.io", "ghcr.io", "quay.io"],
    // And nothing of repositories.
    asks: { "ghcr.io": "credentials", "quay.io": "credentials" },
  });

  // It serves them to runtimes.
  const client = new CacheClient(cache.url);
  for (const name of ["docker.io", "ghcr.io", "_default"]) await client.requireNamespace(name);

  for (const name of ["podman", "cri-o"]) {
    const entry = `Package: ${name}\nStatus: install ok installed\nVersion: 5.4.0\n\n`;
    appendFileSync(dir.file("var/lib/dpkg/status"), entry);
  }
  const asked = "The cache asks for credentials for ghcr.io, quay.io";
  for (const [runtime, does] of [
    ["containerd", "containerd gives it the imagePullSecret of the pod"],
    ["k3s", "k3s gives it the imagePullSecret of the pod"],
    ["podman", "Podman keeps the registry's credentials from mirrors"],
    ["cri-o", "CRI-O keeps the imagePullSecret of the pod from mirrors"],
  ]) {
    const options = ["--root", dir.path, "--runtime", `${runtime}`, "--cache", cache.url];
    const { text } = await entrepotNode(["plan", "--json", ...options]);
    const { asking, notes }: PlanJson = JSON.parse(text);
    expect(asking).toEqual(["ghcr.io", "quay.io"]);
    expect(notes).toContainEqual(expect.stringContaining(`${asked}: ${does}`));
    // The cache is on this machine.
    expect(notes.join()).not.toContain("WARNING");
    expect((await entrepotNode(["plan", ...options])).text).toContain(`${asked}: ${does}`);
  }

  // It is said of a node that is wired already, too, and of what it is wired to alone.
  const options = ["--root", dir.path, "--runtime", "containerd", "--cache", cache.url];
  expect(await entrepotNode(["apply", ...options])).toMatchObject({
    code: 0,
    text: expect.stringContaining(asked),
  });
  for (const command of ["plan", "apply"]) {
    const { text } = await entrepotNode([command, ...options]);
    expect(text).toContain("Nothing to change");
    expect(text).toContain(asked);
  }
  expect((await entrepotNode(["check", "--root", dir.path])).text).not.toContain("ERROR");
});

test.skipIf(outward === undefined)(
  "a plan and rendered files warn where credentials would cross the network without TLS",
  async () => {
    await using dir = await offlineNode();
    await using cache = await startAsking(dir, `${outward}:0`);
    const options = ["--root", dir.path, "--runtime", "containerd", "--cache", cache.url];
    const { text } = await entrepotNode(["plan", "--json", ...options]);
    const { notes }: PlanJson = JSON.parse(text);
    const warning = `WARNING: these credentials cross the network in plain text, since the cache is at ${cache.url}`;
    expect(notes.at(-1)).toStartWith(warning);

    // Comments are wrapped.
    const render = async (...args: string[]): Promise<string> =>
      (await mustRun([PROGRAM, "render", ...args])).replaceAll(/\n#\s+/g, " ");
    for (const source of [[], ["--config", cache.configFile]]) {
      const rendered = await render("k3s", "--cache", cache.url, ...source);
      expect(rendered).toContain("The cache asks for credentials for ghcr.io, quay.io: containerd");
      expect(rendered).toContain(warning);
    }
    const named = await render("k3s", "--cache", cache.url, "--upstream", "ghcr.io");
    expect(named).not.toContain("credentials");
    const json = await mustRun([PROGRAM, "render", "docker", "--cache", cache.url, "--json"]);
    const { caveats }: { caveats: string[] } = JSON.parse(json);
    expect(caveats.at(-1)).toStartWith(warning);
  },
);
