import { afterAll, beforeAll, expect } from "bun:test";
import { ownSuite } from "../../scripts/components/debian-sources.mjs";
import { type Entrepot, localUpstream, startEntrepot } from "../harness/cache/entrepot.ts";
import { textImage } from "../harness/images/images.ts";
import { real, unpackedTests } from "../harness/real-components.ts";
import { startScriptedUpstream } from "../harness/registries/scripted-upstream.ts";
import { type IsolatedNode, startIsolated } from "./isolated.ts";

/** Podman of this machine's own suite, with the libraries that are not there without it. */
const podmanTest = await unpackedTests(`${ownSuite()}-podman`, {
  packages: [
    ..."podman conmon crun golang-github-containers-common".split(" "),
    ..."libgpgme11 libassuan0 libsubid4 libyajl2".split(" "),
  ],
});
const OWN = "/etc/containers/registries.conf.d/50-entrepot.conf";
const image = "docker.io/org/hello:1";

let cache: Entrepot;
const stack = new AsyncDisposableStack();

beforeAll(async () => {
  if (!real.available) return;
  const upstream = stack.use(await startScriptedUpstream());
  upstream.add("org/hello", textImage({ text: "hello" }), "1");
  const upstreams = {
    "docker.io": localUpstream(upstream.url),
    "reg.test": localUpstream(upstream.url),
    [upstream.address]: localUpstream(upstream.url),
  };
  cache = stack.use(await startEntrepot({ config: { upstreams } }));
}, 60_000);

afterAll(() => stack.disposeAsync(), 30_000);

const startPodman = (installed: string, etc: Readonly<Record<string, string>> = {}) =>
  startIsolated({
    name: "a node with podman",
    command: () => ["sleep", "infinity"],
    etc: { "containers/storage.conf": STORAGE, ...etc },
    installed,
    ready: (node) => node.run("podman", "--version"),
  });

const STORAGE = `[storage]
driver = "vfs"
graphroot = "/var/lib/containers/storage"
runroot = "/run/containers/storage"
`;

/** The mirrors that podman itself has in force for a registry. */
async function mirrorsOf(node: IsolatedNode, registry: string): Promise<string[]> {
  const info: unknown = JSON.parse(await node.run("podman", "info", "--format", "json"));
  const { registries } = info as {
    registries: Record<string, { Mirrors?: { Location: string }[] } | undefined>;
  };
  return (registries[registry]?.Mirrors ?? []).map(({ Location }) => Location);
}

podmanTest("a file of our own wires each registry, and is gone after a rollback", async (tree) => {
  // A kubelet, which asks containerd for its images.
  await using node = await startPodman(tree, { "kubernetes/kubelet.conf": "" });
  const before = node.tree("/etc/containers");
  const probes = ["--probe", image, "reg.test/org/hello:1"];
  const wire = ["--runtime", "podman", "--cache", cache.url, ...probes];
  const applied = await node.entrepot("apply", ...wire);
  expect(applied).toMatchObject({ code: 0 });
  expect(applied.text.match(/: proven /g)).toHaveLength(2);
  // An upstream whose name has a port is left out, and told.
  expect(applied.text).toContain("a name with a port");
  expect(await mirrorsOf(node, "reg.test")).toEqual([`${cache.address}/reg.test`]);
  const again = await node.entrepot("apply", ...wire);
  expect(again).toMatchObject({ code: 0, text: expect.stringContaining("Nothing to change") });

  // An image that the node has is pulled by its digest, which Podman asks the cache about.
  await node.run("podman", "pull", "--quiet", image);
  const verified = await node.entrepot("verify", "--runtime", "podman", "--upstream", "docker.io");
  expect(verified).toMatchObject({ code: 0, text: expect.stringContaining("@sha256:") });
  expect(await node.run("podman", "images", "--format", "{{.Repository}}")).toContain("org/hello");

  // Without --runtime, containerd and Podman are both found, and one wiring does not hide the other.
  const check = await node.entrepot("check", "--json");
  expect(JSON.parse(check.text)).toMatchObject({
    runtimes: [
      { runtime: "containerd", wired: null },
      { runtime: "podman", wired: { cache: cache.url }, findings: [] },
    ],
  });
  expect(await node.entrepot("rollback", "--runtime", "podman")).toMatchObject({ code: 0 });
  expect(node.tree("/etc/containers")).toEqual(before);
});

podmanTest(
  "entries of other files are taken over, or stop the plan if they would win",
  async (tree) => {
    const own = `[[registry]]
prefix = "docker.io"
location = "docker.io"
mirror-by-digest-only = true
[[registry.mirror]]
location = "former.test/hub"
`;
    await using node = await startPodman(tree, { "containers/registries.conf": own });
    const before = node.tree("/etc/containers");
    const wire = ["--runtime", "podman", "--cache", cache.url, "--upstream", "docker.io"];
    const foreign = await node.entrepot("plan", ...wire);
    expect(foreign).toMatchObject({ code: 1, text: expect.stringContaining("registries.conf:1:") });
    const adopted = await node.entrepot("apply", ...wire, "--adopt", "--probe", image);
    expect(adopted).toMatchObject({ code: 0, text: expect.stringContaining("proven") });
    expect(await mirrorsOf(node, "docker.io")).toEqual([
      `${cache.address}/docker.io`,
      "former.test/hub",
    ]);
    expect(node.read(OWN)).toContain(`pull-from-mirror = "digest-only"`);

    const later = "/etc/containers/registries.conf.d/90-other.conf";
    node.write(later, `[[registry]]\nlocation = "docker.io"\n`);
    expect(await mirrorsOf(node, "docker.io")).toEqual([]);
    const check = await node.entrepot("check", "--runtime", "podman", "--json");
    expect(JSON.parse(check.text)).toMatchObject({
      findings: [{ code: "drift" }, { code: "shadowed", at: { file: later, line: 1 } }],
      wired: { namespaces: [], lost: ["docker.io"] },
    });
    const verified = await node.entrepot("verify", "--runtime", "podman", "--probe", image);
    expect(verified).toMatchObject({ code: 1, text: expect.stringContaining("cache not first") });
    const blocked = await node.entrepot("plan", ...wire, "--adopt");
    expect(blocked).toMatchObject({ code: 1, text: expect.stringContaining("is read after") });
    node.remove(later);
    expect(await node.entrepot("rollback", "--runtime", "podman")).toMatchObject({ code: 0 });
    expect(node.tree("/etc/containers")).toEqual(before);
  },
);
