import { afterAll, beforeAll, expect } from "bun:test";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { startProcess } from "../harness/processes.ts";
import { real, realTest } from "../harness/real-components.ts";
import { tempDir } from "../harness/temp-dir.ts";
import { until } from "../harness/waiting.ts";
import { type CachedImage, cachedImage } from "./cached-image.ts";
import { PROGRAM, type ProgramResult, entrepotNode } from "./program.ts";
import { type SupervisedNode, startNode } from "./supervised.ts";
import { tree } from "./tree.ts";

let cached: CachedImage;
let node: SupervisedNode;
/** Where a container would have the node's root mounted. */
let root: string;
const stack = new AsyncDisposableStack();

beforeAll(async () => {
  if (!real.available) return;
  cached = stack.use(await cachedImage());
  node = stack.use(await startNode("1.6"));
  root = stack.use(await tempDir("host")).path;
}, 60_000);

afterAll(() => stack.disposeAsync(), 30_000);

/** A mount namespace with the node's root below `root`, in which the node's own paths are empty. */
function inContainer(): string[] {
  const hidden = dirname(node.paths.socket);
  // The containerd of this test is no unit of a systemd that this machine may have.
  const systemd = `[ ! -d /run/systemd ] || mount -t tmpfs none ${root}/run/systemd`;
  const script = `mount --rbind / ${root} && mount --make-rprivate ${root} && ${systemd} && mount -t tmpfs none ${hidden} && exec "$0" "$@"`;
  return ["unshare", "--mount", "sh", "-c", script, PROGRAM];
}

function options(): string[] {
  const restart = `chroot ${root} ${node.restartCommand}`;
  const paths = ["--socket", node.paths.socket, "--state-dir", node.stateDir];
  return ["--root", root, ...paths, "--restart-command", restart];
}

function run(...args: readonly string[]): Promise<ProgramResult> {
  return entrepotNode(args, { program: inContainer() });
}

realTest(
  "from a container that has the node's root mounted, the node is wired, proved, watched and restored",
  async () => {
    const before = tree(node.paths.etc);
    const live = [...options(), "--live"];
    const desired = ["--cache", cached.cache.url, "--probe", cached.image];
    const withoutCommand = await run("plan", ...desired.slice(0, 2), ...live.slice(0, 6), "--live");
    expect(withoutCommand.text).toContain("--restart-command 'nsenter --target 1 --mount --");
    expect(withoutCommand.code).toBe(1);

    const { pid } = node;
    const applied = await run("apply", ...desired, "--yes", ...live);
    expect(applied.text).toContain("proven");
    expect(applied.code).toBe(0);
    expect(node.pid).not.toBe(pid);
    expect(await run("verify", ...options())).toMatchObject({ code: 0 });
    expect((await run("check", ...live)).text).toContain(`Wired to ${cached.cache.url}`);

    const name = `${cached.upstream.address.replace(/:(\d+)$/, "_$1_")}/hosts.toml`;
    const hosts = join(node.paths.certs, name);
    // A file that has nothing but the cache is removed with it.
    const namesCache = (): boolean => existsSync(hosts);
    {
      const pace = ["--grace", "300ms", "--interval", "100ms"];
      await using _ = await startProcess({
        name: "watch",
        command: [...inContainer(), "node", "watch", ...pace, ...options()],
        within: 20_000,
        ready: (started) => started.output().includes("watching"),
      });
      cached.cache.signal("SIGSTOP");
      await until(() => !namesCache(), { what: "the cache to be removed" });
      cached.cache.signal("SIGCONT");
      await until(namesCache, { what: "the cache to be added again" });
    }

    expect(await run("rollback", "--yes", ...live)).toMatchObject({ code: 0 });
    expect(tree(node.paths.etc)).toEqual(before);
  },
  120_000,
);
