import { mkdir, readFile, readdir, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type ContainerdLine, ensureContainerd } from "../../scripts/debian.mjs";
import { Cri } from "../harness/cri.ts";
import { pauseImage } from "../harness/images.ts";
import { writeLayout } from "../harness/layouts.ts";
import { TempDir, tempDir } from "../harness/places.ts";
import { type ChildProcess, mustRun, startProcess } from "../harness/processes.ts";
import { until } from "../harness/waiting.ts";
import { type Ended, PROGRAM, entrepotNode } from "./program.ts";
import { PAUSE } from "./supervised.ts";

const BOOT = fileURLToPath(new URL("./boot.sh", import.meta.url));
const CHECKOUT = fileURLToPath(new URL("../../", import.meta.url));
const DEBIANS_UNIT = "lib/systemd/system/containerd.service";

/**
 * A node with Debian's systemd as process 1 of namespaces of its own, and with containerd's own unit:
 * every path is the usual one, and the tool needs no option to find its way.
 */
export class BootedNode implements AsyncDisposable {
  readonly #dir: TempDir;
  readonly #boot: ChildProcess;
  /** Process 1 inside, as it is known outside. */
  readonly #init: number;

  constructor(dir: TempDir, boot: ChildProcess, init: number) {
    this.#dir = dir;
    this.#boot = boot;
    this.#init = init;
  }

  /** A folder that is the same inside and outside. */
  file(...names: string[]): string {
    return this.#dir.file(...names);
  }

  /** A path of the node, as the test reaches it. */
  inside(path: string): string {
    return join(`/proc/${this.#init}/root`, path);
  }

  get #enter(): string[] {
    return ["nsenter", "-t", String(this.#init), "-m", "-p", "-u", "-i", "-C", "--"];
  }

  run(...command: string[]): Promise<string> {
    return mustRun([...this.#enter, ...command]);
  }

  entrepot(...words: string[]): Promise<Ended> {
    return entrepotNode(words, { program: [...this.#enter, PROGRAM] });
  }

  /** One property of containerd's unit, by systemd's own word. */
  async unit(property: string): Promise<string> {
    const words = ["show", "--value", `--property=${property}`, "containerd.service"];
    return (await this.run("systemctl", ...words)).trim();
  }

  cri(): Cri {
    const logs = new TempDir(this.file("logs"));
    return new Cri(this.inside("/run/containerd/containerd.sock"), logs);
  }

  async pull(reference: string): Promise<void> {
    using cri = this.cri();
    await cri.pullImage(reference);
  }

  ctr(...words: string[]): Promise<string> {
    return this.run("ctr", "-n", "k8s.io", ...words);
  }

  async importPause(): Promise<void> {
    const archive = this.file("pause.tar");
    await writeLayout(archive, await pauseImage(), PAUSE);
    await this.ctr("images", "import", archive);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // unshare heeds no SIGTERM; its end is process 1's, and that one's is everybody's inside.
    await this.#boot.stop("SIGKILL");
    const groups = (await readFile(this.file("cgroups"), "utf8")).split("\n").filter(Boolean);
    for (const group of groups) {
      await until(() => removeGroup(group), { what: `${group} to be empty`, within: 20_000 });
    }
    await this.#dir[Symbol.asyncDispose]();
  }
}

/** @param config of containerd, below /etc/containerd */
export async function bootNode(line: ContainerdLine, config: string): Promise<BootedNode> {
  const { bin } = await ensureContainerd(line);
  const dir = await tempDir("boot");
  await mkdir(dir.file("etc/containerd"), { recursive: true });
  await mkdir(dir.file("logs"));
  await writeFile(dir.file("etc/containerd/config.toml"), config);
  const system = bin === "/usr/bin" ? "/" : join(bin, "../..");
  const units = [join(system, DEBIANS_UNIT), join(system, "usr", DEBIANS_UNIT)];
  let init: number | undefined;
  const found = await firstThere(units);
  const boot = await startProcess({
    name: "systemd",
    command: ["/bin/bash", BOOT, dir.path, bin, found, CHECKOUT],
    within: 30_000,
    ready: async (started) => {
      init = Number(await readFile(`/proc/${started.pid}/task/${started.pid}/children`, "utf8"));
      const node = new BootedNode(dir, started, init);
      return (await node.unit("ActiveState")) === "active";
    },
  });
  return new BootedNode(dir, boot, init ?? 0);
}

async function firstThere(paths: readonly string[]): Promise<string> {
  for (const path of paths) if (await Bun.file(path).exists()) return path;
  throw new Error(`none of these is there: ${paths.join(", ")}`);
}

async function removeGroup(path: string): Promise<true> {
  for (const entry of await readdir(path, { withFileTypes: true }))
    if (entry.isDirectory()) await removeGroup(join(path, entry.name));
  await rmdir(path);
  return true;
}
