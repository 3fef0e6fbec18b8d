import { expect } from "bun:test";
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { hostsToml, startContainerd } from "./harness/runtimes/containerd.ts";
import { startDockerRegistry } from "./harness/registries/docker-registry.ts";
import { startEntrepot } from "./harness/cache/entrepot.ts";
import { busyboxImage } from "./harness/images/images.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { mustRun, startProcess } from "./harness/processes.ts";
import { push } from "./harness/registries/push.ts";
import { realTest } from "./harness/real-components.ts";
import { startTokenIssuer } from "./harness/registries/token-issuer.ts";
import { until } from "./harness/waiting.ts";

const PROGRAM = fileURLToPath(new URL("../bin/entrepot", import.meta.url));
/** A loopback address on which nothing else listens, so that the default ports are free. */
const ADDRESS = "127.0.77.1";
const PORTS: Readonly<Record<string, number>> = {
  "docker.io": 5000,
  "ghcr.io": 5010,
  "quay.io": 5020,
  "registry.k8s.io": 5030,
  "reg.kyverno.io": 5040,
};

/**
 * Pulls an image of each registry on a node that is wired to the five ports, and returns what each
 * prints.
 */
async function pullAll(): Promise<string[]> {
  const hosts = Object.entries(PORTS).map(([name, port]) => {
    const server = name === "docker.io" ? "https://registry-1.docker.io" : `https://${name}`;
    return [name, hostsToml({ server, hosts: [`http://${ADDRESS}:${port}`] })];
  });
  await using containerd = await startContainerd({ hosts: Object.fromEntries(hosts) });
  const outputs: string[] = [];
  for (const name of Object.keys(PORTS)) {
    const image = `${name}/library/app:1`;
    await containerd.cri.pullImage(image);
    outputs.push((await containerd.cri.runToEnd(image)).output);
  }
  return outputs;
}

realTest(
  "one Entrepot replaces five registry:2 instances, and nodes still pull from the same five ports",
  async () => {
    await using folder = await tempDir("five");
    await using running = new AsyncDisposableStack();
    await using upstreams = new AsyncDisposableStack();
    const names: string[] = [];
    const files: string[] = [];
    const stored: string[] = [];
    for (const [name, port] of Object.entries(PORTS)) {
      const upstream = upstreams.use(await startDockerRegistry());
      const image = await busyboxImage({ text: name });
      await push(image, { url: upstream.url, repository: "library/app", tag: "1" });
      const file = folder.file(`${name}.yml`);
      const data = folder.file(`${name}.data`);
      await mkdir(data);
      const registryFile = (...parts: string[]) => join(data, "docker/registry/v2", ...parts);
      // The layer that all images share is pulled from the first registry only.
      const own = image.blobs.filter((_, index) => index !== 1 || name === "docker.io");
      stored.push(
        registryFile("repositories/library/app/_manifests/tags/1/current/link"),
        ...[image.manifest, ...own].map(({ digest }) =>
          registryFile("blobs/sha256", digest.slice(7, 9), digest.slice(7), "data"),
        ),
        ...own.map(({ digest }) =>
          registryFile("repositories/library/app/_layers/sha256", digest.slice(7), "link"),
        ),
      );
      await writeFile(
        file,
        `version: 0.1
storage: { filesystem: { rootdirectory: ${data} } }
http: { addr: "${ADDRESS}:${port}" }
proxy: { remoteurl: "${upstream.url}" }
`,
      );
      files.push(file);
      // In this test, the upstream's address differs from the registry name of its images.
      names.push("--name", `${upstream.address}=${name}`);
      running.use(
        await startProcess({
          name: `registry:2 of ${name}`,
          command: ["/usr/bin/docker-registry", "serve", file],
          ready: async () => (await fetch(`http://${ADDRESS}:${port}/v2/`)).ok,
        }),
      );
    }
    const expected = Object.keys(PORTS).map((name) => `${name}\n`);
    expect(await pullAll()).toEqual(expected);
    // A registry:2 proxy stores in the background what it has served.
    await until(() => stored.every((file) => existsSync(file)), {
      what: "registry:2 to store everything",
      detail: () => stored.filter((file) => !existsSync(file)).join("\n"),
    });
    await running.disposeAsync();

    // From here on the registries are unreachable: the adopted data has to be sufficient.
    await upstreams.disposeAsync();

    const output = folder.file("entrepot.yaml");
    await mustRun([PROGRAM, "import", ...files, ...names, "--output", output]);
    const text = await readFile(output, "utf8");
    const data = folder.file("data");
    await mustRun([PROGRAM, "adopt", "--from", output, "--data", data]);
    const config: unknown = parse(text);
    expect(config).toMatchObject({ listen: `${ADDRESS}:5000` });
    if (typeof config !== "object" || config === null) throw new Error("no configuration");
    await using cache = await startEntrepot({ config, data, listen: `${ADDRESS}:5000` });
    expect(cache.portUrl("reg.kyverno.io")).toBe(`http://${ADDRESS}:5040`);
    expect(await pullAll()).toEqual(expected);
  },
  120_000,
);

realTest("a Shoot manifest works as the configuration, with its Secrets beside it", async () => {
  await using issuer = await startTokenIssuer({
    users: { me: "secret" },
    grants: (user) => (user ? ["pull"] : []),
  });
  // Registry and token endpoint on one port: a Shoot has no equivalent of trustedRealms.
  await using front = serveRegistryWithTokens(issuer.realm, () => registry.url);
  await using registry = await startDockerRegistry({
    auth: { ...issuer.auth, realm: `${front.url.origin}/token` },
  });
  const authorization = issuer.authorization("org/app");
  const image = await busyboxImage({ text: "of a Shoot" });
  await push(image, { url: registry.url, repository: "org/app", tag: "1", authorization });
  await using folder = await tempDir("shoot");
  await mkdir(folder.file("secrets/reg-v1"), { recursive: true });
  await writeFile(folder.file("secrets/reg-v1/username"), "me");
  await writeFile(folder.file("secrets/reg-v1/password"), "secret");
  const manifest = folder.file("shoot.yaml");
  await writeFile(
    manifest,
    `apiVersion: core.gardener.cloud/v1beta1
kind: Shoot
spec:
  extensions:
    - type: registry-cache
      providerConfig:
        apiVersion: registry.extensions.gardener.cloud/v1alpha3
        kind: RegistryConfig
        caches:
          - { upstream: reg.test, remoteURL: "${front.url.origin}", secretReferenceName: reg }
  resources:
    - { name: reg, resourceRef: { apiVersion: v1, kind: Secret, name: reg-v1 } }
`,
  );
  await using cache = await startEntrepot({ args: ["--config", manifest] });
  await using containerd = await startContainerd({
    hosts: { "reg.test": hostsToml({ server: "https://reg.test", hosts: [cache.url] }) },
  });
  await containerd.cri.pullImage("reg.test/org/app:1");
  expect((await containerd.cri.runToEnd("reg.test/org/app:1")).output).toBe("of a Shoot\n");
  // Settings without an equivalent are reported at the start.
  expect(cache.output()).toContain("entrepot: unsupported setting ignored: ");
  expect(cache.output()).not.toContain("secret\n");
});

/** Forwards `/token` to a token endpoint, and everything else to a registry. */
function serveRegistryWithTokens(realm: string, registry: () => string) {
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: ({ url, method, headers }) => {
      const { pathname, search } = new URL(url);
      const target = pathname === "/token" ? realm : `${registry()}${pathname}`;
      return fetch(`${target}${search}`, { method, headers, redirect: "manual" });
    },
  });
  return { url: server.url, [Symbol.asyncDispose]: () => server.stop(true) };
}
