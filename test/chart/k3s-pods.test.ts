import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { builtImage } from "../harness/images/built-image.ts";
import { Cri } from "../harness/runtimes/cri.ts";
import { renderChart } from "../harness/pods/helm.ts";
import { real, realTest } from "../harness/real-components.ts";
import { RenderedPod } from "../harness/pods/rendered-pod.ts";
import { TempDir } from "../harness/temp-dir.ts";
import { until } from "../harness/waiting.ts";
import { type BootedNode, bootNode } from "../node/booted.ts";
import { type CachedImage, cachedImage } from "../node/cached-image.ts";
import { CERTS, K3S_CONFIG, K3S_SOCKET, REGISTRIES, k3sService } from "../node/k3s-node.ts";
import { isLong } from "../node/supervised.ts";
import { tree } from "../node/tree.ts";
import { daemonSet, expectDone, imageValues } from "./node-workloads.ts";

/** As k3s installs it, which restarts it without its containers. */
const UNIT = `[Unit]
DefaultDependencies=no
[Service]
Type=exec
KillMode=process
Restart=always
`;

let cached: CachedImage;
let node: BootedNode;
const stack = new AsyncDisposableStack();

beforeAll(async () => {
  if (!real.available || !isLong) return;
  const image = await builtImage();
  cached = stack.use(await cachedImage());
  node = stack.use(await bootNode("1.6", "version = 2\n"));
  // The node's only containerd is that of k3s.
  await node.run("systemctl", "stop", "containerd.service");
  await node.run("rm", "-r", "/etc/containerd", "/run/containerd");
  await node.run("mkdir", "-p", "/var/lib/rancher", "/etc/rancher/k3s");
  await node.run("mount", "-t", "tmpfs", "tmpfs", "/var/lib/rancher");
  writeFileSync(node.inside(REGISTRIES), "# written by hand\nmirrors: {}\n");
  writeFileSync(node.file("config.toml"), K3S_CONFIG);
  const service = node.file("service.sh");
  writeFileSync(service, k3sService(node.file("config.toml")));
  chmodSync(service, 0o755);
  mkdirSync(node.file("pods"));
  const unit = "/etc/systemd/system/k3s.service";
  writeFileSync(node.inside(unit), `${UNIT}ExecStart=/bin/sh ${service}\n`);
  await node.run("systemctl", "daemon-reload");
  await node.run("systemctl", "start", "k3s.service");
  const ctr = ["ctr", "-a", K3S_SOCKET, "-n", "k8s.io", "images", "import"];
  await until(() => node.run(...ctr, image), { what: "the containerd of k3s", within: 30_000 });
  await node.importPauseInto(K3S_SOCKET);
}, 120_000);

afterAll(() => stack.disposeAsync(), 60_000);

const longTest = isLong ? realTest : test.skip;

longTest(
  "a node with k3s is wired by its unit, which systemd restarts, and rolled back",
  async () => {
    const read = (path: string): Promise<string> => node.run("cat", path);
    const before = await read(REGISTRIES);
    const nodes = {
      allowRestart: true,
      cacheUrl: cached.cache.url.replace("127.0.0.1", "$(NODE_IP)"),
      probe: [cached.image],
      wait: "1s",
      grace: "300ms",
      interval: "100ms",
    };
    for (const runtime of ["auto", "k3s"]) {
      const objects = await renderChart({ ...imageValues(), nodes: { ...nodes, runtime } });
      using cri = new Cri(node.inside(K3S_SOCKET), new TempDir(node.file("logs")));
      await using pod = new RenderedPod(daemonSet(objects, "entrepot-node"), {
        node: node.podNode(cri),
      });
      await pod.begin();
      const applied = await pod.runInit("apply");
      expectDone(applied, ": proven");
      expectDone(applied, "systemd's RestartUnit of k3s.service");
      expect(await read(REGISTRIES)).toContain(cached.cache.url);
      await pod.startContainers();
      await until(() => pod.output("watch").includes("watching"), { what: "the watcher" });
      const wired = tree(node.inside(CERTS));
      cached.cache.signal("SIGSTOP");
      await until(() => !JSON.stringify(tree(node.inside(CERTS))).includes(cached.cache.url), {
        what: "the cache to be removed",
        detail: () => pod.output("watch"),
      });
      cached.cache.signal("SIGCONT");
      await until(() => JSON.stringify(tree(node.inside(CERTS))) === JSON.stringify(wired), {
        what: "the cache to be added again",
        detail: () => pod.output("watch"),
      });
      await pod.stop();

      await using cleanup = new RenderedPod(daemonSet(objects, "entrepot-cleanup"), {
        node: node.podNode(cri),
      });
      await cleanup.begin();
      expectDone(await cleanup.runInit("rollback"), "byte for byte");
      expect(await read(REGISTRIES)).toBe(before);
    }
  },
  180_000,
);
