import { mkdir, readFile, readdir, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type ContainerdLine, ensureContainerd } from "../../scripts/components/debian.mjs";
import { Cri } from "../harness/runtimes/cri.ts";
import type { PodNode } from "../harness/pods/rendered-pod.ts";
import { pauseImage } from "../harness/images/images.ts";
import { writeLayout } from "../harness/images/oci-layout.ts";
import { TempDir, tempDir } from "../harness/temp-dir.ts";
import { type ChildProcess, mustRun, startProcess } from "../harness/processes.ts";
import { until } from "../harness/waiting.ts";
import { type ProgramResult, PROGRAM, entrepotNode } from "./program.ts";
import { PAUSE } from "./supervised.ts";

const BOOT = fileURLToPath(new URL("./boot.sh", import.meta.url));
const CHECKOUT = fileURLToPath(new URL("../../", import.meta.url));
const DEBIAN_UNIT = "lib/systemd/system/containerd.service";

/**
 * A machine that runs Debian's systemd as PID 1 in its own namespaces, except for the network, which is the test's.
 */
export class BootedMachine implements AsyncDisposable {
  readonly #dir: TempDir;
  readonly #boot: ChildProcess;
  /** The PID of the machine's init process, in the test's PID namespace. */
  readonly #init: number;

  constructor(dir: TempDir, boot: ChildProcess, init: number) {
    this.#dir = dir;
    this.#boot = boot;
    this.#init = init;
  }

  /** A path that is the same inside and outside of the machine. */
  file(...names: string[]): string {
    return this.#dir.file(...names);
  }

  /** The path by which the test reaches a path of the machine. */
  inside(path: string): string {
    return join(`/proc/${this.#init}/root`, path);
  }

  protected get enter(): string[] {
    return ["nsenter", "-t", String(this.#init), "-m", "-p", "-u", "-i", "-C", "--"];
  }

  run(...command: string[]): Promise<string> {
    return mustRun([...this.enter, ...command]);
  }

  /** A property of a unit, as `systemctl show` prints it. */
  async property(unit: string, property: string): Promise<string> {
    return (await this.run("systemctl", "show", "--value", `--property=${property}`, unit)).trim();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // unshare ignores SIGTERM. Killing it kills the init process, and thereby all processes inside.
    await this.#boot.stop("SIGKILL");
    const groups = (await readFile(this.file("cgroups"), "utf8")).split("\n").filter(Boolean);
    for (const group of groups) {
      await until(() => removeGroup(group), { what: `${group} to be empty`, within: 20_000 });
    }
    await this.#dir[Symbol.asyncDispose]();
  }
}

/**
 * A machine with Debian's unit of containerd. All paths are the default ones, so that the tool needs no
 * options.
 */
export class BootedNode extends BootedMachine {
  entrepot(...args: string[]): Promise<ProgramResult> {
    return entrepotNode(args, { program: [...this.enter, PROGRAM] });
  }

  /** A property of containerd's unit, as `systemctl show` prints it. */
  unit(property: string): Promise<string> {
    return this.property("containerd.service", property);
  }

  cri(): Cri {
    const logs = new TempDir(this.file("logs"));
    return new Cri(this.inside("/run/containerd/containerd.sock"), logs);
  }

  async pull(reference: string): Promise<void> {
    using cri = this.cri();
    await cri.pullImage(reference);
  }

  /** The node as one that runs pods, on its own containerd. */
  podNode(cri: Cri): PodNode {
    const onNode = (path: string): string => this.inside(path);
    return { cri, ip: "127.0.0.1", name: "node-1", folder: this.file("pods"), onNode };
  }

  ctr(...args: string[]): Promise<string> {
    return this.run("ctr", "-n", "k8s.io", ...args);
  }

  importPause(): Promise<void> {
    return this.importPauseInto("/run/containerd/containerd.sock");
  }

  async importPauseInto(socket: string): Promise<void> {
    const archive = this.file("pause.tar");
    await writeLayout(archive, await pauseImage(), PAUSE);
    await this.run("ctr", "-a", socket, "-n", "k8s.io", "images", "import", archive);
  }
}

/** @param config the content of /etc/containerd/config.toml */
export async function bootNode(line: ContainerdLine, config: string): Promise<BootedNode> {
  const { bin } = await ensureContainerd(line);
  const dir = await tempDir("boot");
  await mkdir(dir.file("etc/containerd"), { recursive: true });
  await mkdir(dir.file("logs"));
  await writeFile(dir.file("etc/containerd/config.toml"), config);
  const system = bin === "/usr/bin" ? "/" : join(bin, "../..");
  const units = [join(system, DEBIAN_UNIT), join(system, "usr", DEBIAN_UNIT)];
  let init: number | undefined;
  const unit = await firstExisting(units);
  const boot = await startProcess({
    name: "systemd",
    command: ["/bin/bash", BOOT, dir.path, CHECKOUT, "/", bin, unit],
    within: 30_000,
    ready: async (started) => {
      init = Number(await readFile(`/proc/${started.pid}/task/${started.pid}/children`, "utf8"));
      const node = new BootedNode(dir, started, init);
      return (await node.unit("ActiveState")) === "active";
    },
  });
  return new BootedNode(dir, boot, init ?? 0);
}

/**
 * @param lower the tree of files that the machine has, which stays as it is
 * @param visible a folder that it sees at the same path
 */
export async function bootMachine(lower: string, visible: string): Promise<BootedMachine> {
  const dir = await tempDir("boot");
  let init: number | undefined;
  const boot = await startProcess({
    name: "systemd",
    command: ["/bin/bash", BOOT, dir.path, visible, lower],
    within: 30_000,
    ready: async (started) => {
      init = Number(await readFile(`/proc/${started.pid}/task/${started.pid}/children`, "utf8"));
      const machine = new BootedMachine(dir, started, init);
      return (await machine.property("alone.target", "ActiveState")) === "active";
    },
  });
  return new BootedMachine(dir, boot, init ?? 0);
}

async function firstExisting(paths: readonly string[]): Promise<string> {
  for (const path of paths) if (await Bun.file(path).exists()) return path;
  throw new Error(`none of these exists: ${paths.join(", ")}`);
}

async function removeGroup(path: string): Promise<true> {
  for (const entry of await readdir(path, { withFileTypes: true }))
    if (entry.isDirectory()) await removeGroup(join(path, entry.name));
  await rmdir(path);
  return true;
}
