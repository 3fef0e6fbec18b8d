import { chmod, mkdir, writeFile } from "node:fs/promises";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type ContainerdLine, ensureContainerd } from "../../scripts/components/debian.mjs";
import { Cri } from "../harness/runtimes/cri.ts";
import { pauseImage } from "../harness/images/images.ts";
import { killShims, unmountBelow } from "../harness/runtimes/containerd-cleanup.ts";
import { writeLayout } from "../harness/images/oci-layout.ts";
import { TempDir, tempDir } from "../harness/temp-dir.ts";
import { type ChildProcess, mustRun, startProcess } from "../harness/processes.ts";
import { until } from "../harness/waiting.ts";

export const LINES: readonly ContainerdLine[] = ["1.6", "1.7", "2.1"];

/** Whether all tests run on all release lines, as with `npm run test:long`. */
export const isLong = process.env["ENTREPOT_LONG"] === "1";

/** The sandbox image of pods, which is imported so that it is not pulled. */
export const PAUSE = "localhost/pause:test";

/** The paths of a node of the tests. */
export interface NodePaths {
  /** Stands for /etc/containerd. */
  readonly etc: string;
  readonly config: string;
  readonly certs: string;
  readonly socket: string;
  readonly root: string;
  readonly state: string;
}

/**
 * A containerd with its own paths, under a supervisor that restarts it whenever it ends, as systemd does
 * with KillMode=process, so that the tool can restart it.
 */
export class SupervisedNode implements AsyncDisposable {
  readonly paths: NodePaths;
  readonly version: string;
  readonly line: ContainerdLine;
  readonly bin: string;
  readonly #dir: TempDir;
  #supervisor: ChildProcess | undefined;
  readonly log: string[] = [];

  constructor(release: { bin: string; version: string; line: ContainerdLine }, dir: TempDir) {
    this.bin = release.bin;
    this.version = release.version;
    this.line = release.line;
    this.#dir = dir;
    const etc = dir.file("etc/containerd");
    this.paths = {
      etc,
      config: join(etc, "config.toml"),
      certs: join(etc, "certs.d"),
      socket: dir.file("c.sock"),
      root: dir.file("root"),
      state: dir.file("state"),
    };
  }

  file(...names: string[]): string {
    return this.#dir.file(...names);
  }

  get restartCommand(): string {
    return this.file("restart.sh");
  }

  get stateDir(): string {
    return this.file("entrepot-state");
  }

  /** A CRI client. Dispose of it after use: after lost connections, its backoff grows. */
  cri(): Cri {
    return new Cri(this.paths.socket, new TempDir(this.file("logs")));
  }

  async start(): Promise<void> {
    await mkdir(this.file("logs"));
    const pid = this.file("pid");
    await writeFile(
      this.file("supervise.sh"),
      `#!/bin/sh
trap 'kill -KILL $child 2>/dev/null; exit 0' TERM
while true; do
  ${this.bin}/containerd --config ${this.paths.config} --root ${this.paths.root} --state ${this.paths.state} --address ${this.paths.socket} &
  child=$!
  echo $child > ${pid}.new && mv ${pid}.new ${pid}
  wait $child
  echo "--- containerd ended ---"
  sleep 0.05
done
`,
    );
    await writeFile(
      this.restartCommand,
      `#!/bin/sh
old=$(cat ${pid})
kill $old
for i in $(seq 200); do [ "$(cat ${pid})" != "$old" ] && break; sleep 0.05; done
[ "$(cat ${pid})" != "$old" ] || exit 1
for i in $(seq 200); do kill -0 $old 2>/dev/null || exit 0; sleep 0.05; done
exit 1
`,
    );
    await chmod(this.restartCommand, 0o755);
    await chmod(this.file("supervise.sh"), 0o755);
    this.#supervisor = await startProcess({
      name: `containerd ${this.version}`,
      command: ["/bin/sh", this.file("supervise.sh")],
      env: { PATH: `${this.bin}:/usr/sbin:/usr/bin:/sbin:/bin`, NOTIFY_SOCKET: undefined },
      within: 30_000,
      onLine: (line) => this.log.push(line),
      ready: () => existsSync(this.paths.socket),
    });
    await this.waitForDaemon();
  }

  get pid(): number {
    return Number(readFileSync(this.file("pid"), "utf8"));
  }

  /** Waits until the daemon responds, whether or not its CRI does. */
  async waitForDaemon(): Promise<void> {
    await until(() => this.ctr("version"), { what: "containerd to respond", within: 30_000 });
  }

  async restart(): Promise<void> {
    await mustRun(["/bin/sh", this.restartCommand]);
    await this.waitForDaemon();
  }

  async criReady(): Promise<void> {
    await until(
      async () => {
        using cri = this.cri();
        await cri.call("Version", { version: "v1" }, 1_000);
        return true;
      },
      { what: "CRI to respond", within: 30_000, detail: () => this.log.slice(-20).join("\n") },
    );
  }

  async importPause(): Promise<void> {
    const archive = this.file("pause.tar");
    await writeLayout(archive, await pauseImage(), PAUSE);
    await this.ctr("images", "import", archive);
  }

  async ctr(...args: string[]): Promise<string> {
    return mustRun([join(this.bin, "ctr"), "-a", this.paths.socket, "-n", "k8s.io", ...args]);
  }

  async pull(reference: string, within = 60_000): Promise<string> {
    using cri = this.cri();
    return await cri.pullImage(reference, { within });
  }

  async removeImage(reference: string): Promise<void> {
    using cri = this.cri();
    await cri.removeImage(reference);
  }

  /** The effective configuration of `containerd config dump`, without imports and registry settings. */
  async dump(): Promise<string> {
    const text = await mustRun([
      join(this.bin, "containerd"),
      "--config",
      this.paths.config,
      "config",
      "dump",
    ]);
    // 1.x lists its imports in a random order.
    return text
      .replaceAll(/^imports = .*\n/gm, "")
      .replaceAll(/^ *\[plugins\.["']io[^\n]*\.registry[^\n]*\n(?: *[^[ \n][^\n]*\n| *\n)*/gm, "");
  }

  write(name: string, text: string): void {
    const path = join(this.paths.etc, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }

  /** Replaces all files below /etc/containerd, and removes the journal. */
  replaceFiles(files: Readonly<Record<string, string>>): void {
    rmSync(this.paths.etc, { recursive: true, force: true });
    rmSync(this.stateDir, { recursive: true, force: true });
    for (const [name, text] of Object.entries(files)) this.write(name, text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      using cri = this.cri();
      await cri.removePods();
    } catch {
      // Ended by force below.
    }
    await this.#supervisor?.stop();
    await killShims(this.paths.socket);
    await unmountBelow(this.#dir.path);
    await this.#dir[Symbol.asyncDispose]();
  }
}

/** Starts a node. Without `files`, it has only the base configuration. */
export async function startNode(
  line: ContainerdLine,
  files = (paths: NodePaths): Readonly<Record<string, string>> => ({
    "config.toml": baseConfig(paths),
  }),
): Promise<SupervisedNode> {
  const { bin, version } = await ensureContainerd(line);
  const node = new SupervisedNode({ bin, version, line }, await tempDir("n"));
  try {
    node.replaceFiles(files(node.paths));
    await node.start();
    await node.criReady();
    return node;
  } catch (error) {
    await node[Symbol.asyncDispose]();
    throw error;
  }
}

/** A config.toml without registry settings, with comments that have to be kept. */
export function baseConfig(paths: NodePaths, version: 1 | 2 | 3 = 2): string {
  const cri = version === 1 ? "plugins.cri" : `plugins."io.containerd.grpc.v1.cri"`;
  const opt = version === 1 ? "plugins.opt" : `plugins."io.containerd.internal.v1.opt"`;
  return `# The configuration of this node, maintained by hand.
${version === 1 ? "" : `version = ${version}\n`}oom_score = 0   # like the unit

[grpc]
  address = "${paths.socket}"

[${opt}]
  path = "${paths.root}/opt"

[${cri}]
  sandbox_image = "${PAUSE}" # never pulled
  restrict_oom_score_adj = true
  disable_apparmor = true
  max_container_log_line_size = 12345
  [${cri}.cni]
    conf_dir = "${paths.root}/no-cni"
  [${cri}.containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [${cri}.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
    # Another runtime, for a cgroup driver that this machine does not have.
    [${cri}.containerd.runtimes.other]
      runtime_type = "io.containerd.runc.v2"
      [${cri}.containerd.runtimes.other.options]
        SystemdCgroup = true
`;
}
