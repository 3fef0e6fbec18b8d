import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { builtImage } from "../harness/images/built-image.ts";
import { renderChart } from "../harness/pods/helm.ts";
import { real, realTest } from "../harness/real-components.ts";
import { type EndedContainer, type PodNode, RenderedPod } from "../harness/pods/rendered-pod.ts";
import { until } from "../harness/waiting.ts";
import { type BootedNode, bootNode } from "../node/booted.ts";
import { type CachedImage, cachedImage } from "../node/cached-image.ts";
import { LINES, PAUSE, isLong } from "../node/supervised.ts";
import { tree } from "../node/tree.ts";
import { daemonSet, expectDone, imageValues } from "./node-workloads.ts";

const cri = `plugins."io.containerd.grpc.v1.cri"`;
const config = `version = 2
# written by hand
[${cri}]
  sandbox_image = "${PAUSE}"
  disable_apparmor = true
  restrict_oom_score_adj = true
`;

const longTest = isLong ? realTest : test.skip;

let cached: CachedImage;
let node: BootedNode;

function values(nodes: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return {
    ...imageValues(),
    nodes: {
      cacheUrl: cached.cache.url.replace("127.0.0.1", "$(NODE_IP)"),
      probe: [cached.image],
      wait: "1s",
      grace: "300ms",
      interval: "100ms",
      ...nodes,
    },
  };
}

/** A node whose pods are run by its own containerd, which must not end them when it is restarted. */
async function onNode<T>(use: (node: PodNode) => Promise<T>): Promise<T> {
  using client = node.cri();
  return await use(node.podNode(client));
}

/** The watcher takes a cache out that does not answer, and puts it back. */
async function expectWatched(
  etc: string,
  wired: Readonly<Record<string, string>>,
  meanwhile: () => Promise<void>,
): Promise<void> {
  cached.cache.signal("SIGSTOP");
  await until(() => !JSON.stringify(tree(etc)).includes(cached.cache.url), {
    what: "the cache to be removed",
  });
  await meanwhile();
  cached.cache.signal("SIGCONT");
  await until(() => sameTree(etc, wired), { what: "the cache to be added again" });
}

function sameTree(folder: string, expected: Readonly<Record<string, string>>): boolean {
  return isDeepStrictEqual(tree(folder), expected);
}

describe.each(isLong ? LINES : (["1.6"] as const))("on containerd %s", (line) => {
  const stack = new AsyncDisposableStack();

  beforeAll(async () => {
    if (!real.available) return;
    const image = await builtImage();
    cached = stack.use(await cachedImage());
    node = stack.use(await bootNode(line, config));
    await node.importPause();
    await node.ctr("images", "import", image);
  }, 240_000);

  afterAll(() => stack.disposeAsync(), 60_000);

  realTest(
    "a node is wired by the chart's pod through its systemd, upgraded, watched, and rolled back byte for byte",
    async () => {
      const etc = node.inside("/etc/containerd");
      const before = tree(etc);
      const objects = await renderChart(values({ allowRestart: true }));
      const main = await node.unit("MainPID");
      await onNode(async (pods) => {
        const pod = new RenderedPod(daemonSet(objects, "entrepot-node"), { node: pods });
        await using _ = pod;
        await pod.begin();
        const applied = await pod.runInit("apply");
        expectDone(applied, ": proven");
        expectDone(applied, "systemd's RestartUnit of containerd.service");
        expect(await node.unit("MainPID")).not.toBe(main);
      });
      const wired = tree(etc);
      const restarted = await node.unit("MainPID");

      // The next version's pod finds nothing to do, and takes nothing back when it ends.
      const upgraded = await renderChart(values({ allowRestart: true, podLabels: { next: "1" } }));
      await onNode(async (pods) => {
        await using next = new RenderedPod(daemonSet(upgraded, "entrepot-node"), { node: pods });
        await next.begin();
        expectDone(await next.runInit("apply"), "already");
        await next.startContainers();
        await until(() => next.output("watch").includes("watching"), { what: "the watcher" });
        await expectWatched(etc, wired, async () => {
          if (!isLong) return;
          // A pod that starts while the cache is dead leaves the node to its watcher.
          await using during = new RenderedPod(daemonSet(objects, "entrepot-node"), { node: pods });
          await during.begin();
          expectDone(await during.runInit("apply"), "stays wired");
        });
        await next.stop();
      });
      expect(tree(etc)).toEqual(wired);
      expect(await node.unit("MainPID")).toBe(restarted);

      await onNode(async (pods) => {
        await using cleanup = new RenderedPod(daemonSet(objects, "entrepot-cleanup"), {
          node: pods,
        });
        await cleanup.begin();
        expectDone(await cleanup.runInit("rollback"), "byte for byte");
      });
      expect(tree(etc)).toEqual(before);
      expect(tree(node.inside("/var/lib/entrepot"))).toEqual({ "node/": "", "node/lock": "644 " });
    },
    120_000,
  );

  longTest(
    "without the right to restart, a node is wired where none is needed, and left as it is elsewhere",
    async () => {
      const etc = node.inside("/etc/containerd");
      const before = tree(etc);
      const main = await node.unit("MainPID");
      const apply = async (nodes: Readonly<Record<string, unknown>>): Promise<EndedContainer> => {
        const workload = daemonSet(await renderChart(values(nodes)), "entrepot-node");
        return await onNode(async (pods) => {
          await using pod = new RenderedPod(workload, { node: pods });
          await pod.begin();
          return await pod.runInit("apply");
        });
      };
      const refusals = [
        [{}, "the restart was not confirmed"],
        [{ runtime: "containerd" }, "without the socket of its systemd"],
        [{ cacheUrl: "http://127.0.0.1:1" }, "http://127.0.0.1:1"],
      ] as const;
      for (const [nodes, text] of refusals) {
        const { exitCode, output } = await apply(nodes);
        expect([exitCode, output]).toEqual([1, expect.stringContaining(text)]);
        expect(tree(etc)).toEqual(before);
      }
      await node.pull(cached.image);
      expect(await node.unit("MainPID")).toBe(main);

      writeFileSync(
        `${etc}/config.toml`,
        `${config}  [${cri}.registry]\n    config_path = "/etc/containerd/certs.d"\n`,
      );
      await node.run("systemctl", "restart", "containerd.service");
      const prepared = tree(etc);
      const restarted = await node.unit("MainPID");
      // What is mounted is what is edited.
      const wired = await apply({ runtime: "containerd" });
      expectDone(wired, ": proven");
      const objects = await renderChart(values({ runtime: "containerd" }));
      await onNode(async (pods) => {
        await using cleanup = new RenderedPod(daemonSet(objects, "entrepot-cleanup"), {
          node: pods,
        });
        await cleanup.begin();
        expectDone(await cleanup.runInit("rollback"), "byte for byte");
      });
      expect(tree(etc)).toEqual(prepared);
      expect(await node.unit("MainPID")).toBe(restarted);
    },
    120_000,
  );

  longTest(
    "a node that is wired again while the removal goes on is rolled back once more",
    async () => {
      const etc = node.inside("/etc/containerd");
      const before = tree(etc);
      const objects = await renderChart(values({ allowRestart: true }));
      await onNode(async (pods) => {
        await using cleanup = new RenderedPod(daemonSet(objects, "entrepot-cleanup"), {
          node: pods,
        });
        await cleanup.start();
        await using late = new RenderedPod(daemonSet(objects, "entrepot-node"), { node: pods });
        await late.begin();
        expectDone(await late.runInit("apply"), "Wired: ");
        await until(() => sameTree(etc, before), {
          what: "the node to be rolled back again",
          within: 60_000,
          detail: () => cleanup.output("stay"),
        });
        expect(await cleanup.stop()).toMatchObject([{ name: "stay", exitCode: 0 }]);
      });
    },
    120_000,
  );
});
