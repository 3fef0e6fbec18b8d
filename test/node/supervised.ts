import { chmod, mkdir, writeFile } from "node:fs/promises";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type ContainerdLine, ensureContainerd } from "../../scripts/debian.mjs";
import { Cri } from "../harness/cri.ts";
import { pauseImage } from "../harness/images.ts";
import { endShims, unmountBelow } from "../harness/leftovers.ts";
import { writeLayout } from "../harness/layouts.ts";
import { TempDir, tempDir } from "../harness/places.ts";
import { type ChildProcess, mustRun, startProcess } from "../harness/processes.ts";
import { until } from "../harness/waiting.ts";

export const LINES: readonly ContainerdLine[] = ["1.6", "1.7", "2.1"];

/** Whether everything is run on every line, as `npm run test:long` has it. */
export const isLong = process.env["ENTREPOT_LONG"] === "1";

/** The image of pods' sandboxes, imported so that no registry is asked for it. */
export const PAUSE = "localhost/pause:test";

/** The paths that a starting point's config.toml needs. */
export interface NodePlaces {
  /** What /etc/containerd is on a node. */
  readonly etc: string;
  readonly config: string;
  readonly certs: string;
  readonly socket: string;
  readonly root: string;
  readonly state: string;
}

/**
 * A node of its own: a containerd under a supervisor that starts it again whenever it ends, as
 * systemd does with KillMode=process, so that the tool can restart it.
 */
export class SupervisedNode implements AsyncDisposable {
  readonly places: NodePlaces;
  readonly version: string;
  readonly line: ContainerdLine;
  readonly bin: string;
  readonly #dir: TempDir;
  #supervisor: ChildProcess | undefined;
  readonly log: string[] = [];

  constructor(found: { bin: string; version: string; line: ContainerdLine }, dir: TempDir) {
    this.bin = found.bin;
    this.version = found.version;
    this.line = found.line;
    this.#dir = dir;
    const etc = dir.file("etc/containerd");
    this.places = {
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

  /** A client of CRI. Dispose of it: one that has lost its server waits longer and longer. */
  cri(): Cri {
    return new Cri(this.places.socket, new TempDir(this.file("logs")));
  }

  async begin(): Promise<void> {
    await mkdir(this.file("logs"));
    const pid = this.file("pid");
    await writeFile(
      this.file("supervise.sh"),
      `#!/bin/sh
trap 'kill -KILL $child 2>/dev/null; exit 0' TERM
while true; do
  ${this.bin}/containerd --config ${this.places.config} --root ${this.places.root} --state ${this.places.state} --address ${this.places.socket} &
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
      ready: () => existsSync(this.places.socket),
    });
    await this.settle();
  }

  get pid(): number {
    return Number(readFileSync(this.file("pid"), "utf8"));
  }

  /** Waits until the daemon itself answers, whether its CRI does or not. */
  async settle(): Promise<void> {
    await until(() => this.ctr("version"), { what: "containerd to answer", within: 30_000 });
  }

  async restart(): Promise<void> {
    await mustRun(["/bin/sh", this.restartCommand]);
    await this.settle();
  }

  async criReady(): Promise<void> {
    await until(
      async () => {
        using cri = this.cri();
        await cri.call("Version", { version: "v1" }, 1_000);
        return true;
      },
      { what: "CRI to answer", within: 30_000, detail: () => this.log.slice(-20).join("\n") },
    );
  }

  async importPause(): Promise<void> {
    const archive = this.file("pause.tar");
    await writeLayout(archive, await pauseImage(), PAUSE);
    await this.ctr("images", "import", archive);
  }

  async ctr(...words: string[]): Promise<string> {
    return mustRun([join(this.bin, "ctr"), "-a", this.places.socket, "-n", "k8s.io", ...words]);
  }

  async pull(reference: string, within = 60_000): Promise<string> {
    using cri = this.cri();
    return await cri.pullImage(reference, { within });
  }

  async forget(reference: string): Promise<void> {
    using cri = this.cri();
    await cri.removeImage(reference);
  }

  /** What the daemon itself makes of its files, without what is said of registries. */
  async dump(): Promise<string> {
    const text = await mustRun([
      join(this.bin, "containerd"),
      "--config",
      this.places.config,
      "config",
      "dump",
    ]);
    // 1.x lists its imports in a random order.
    return text
      .replaceAll(/^imports = .*\n/gm, "")
      .replaceAll(/^ *\[plugins\.["']io[^\n]*\.registry[^\n]*\n(?: *[^[ \n][^\n]*\n| *\n)*/gm, "");
  }

  write(name: string, text: string): void {
    const path = join(this.places.etc, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }

  /** Has these files and no others, and no memory of having been wired. */
  lay(files: Readonly<Record<string, string>>): void {
    rmSync(this.places.etc, { recursive: true, force: true });
    rmSync(this.stateDir, { recursive: true, force: true });
    for (const [name, text] of Object.entries(files)) this.write(name, text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      using cri = this.cri();
      await cri.removePods();
    } catch {
      // By force below.
    }
    await this.#supervisor?.stop();
    await endShims(this.places.socket);
    await unmountBelow(this.#dir.path);
    await this.#dir[Symbol.asyncDispose]();
  }
}

/** A node that runs, with nothing but its own configuration where no files are given. */
export async function startNode(
  line: ContainerdLine,
  files = (places: NodePlaces): Readonly<Record<string, string>> => ({
    "config.toml": baseConfig(places),
  }),
): Promise<SupervisedNode> {
  const { bin, version } = await ensureContainerd(line);
  const node = new SupervisedNode({ bin, version, line }, await tempDir("n"));
  try {
    node.lay(files(node.places));
    await node.begin();
    await node.criReady();
    return node;
  } catch (error) {
    await node[Symbol.asyncDispose]();
    throw error;
  }
}

/** Everything of a config.toml but its registry settings, with comments that have to stay. */
export function baseConfig(places: NodePlaces, version: 1 | 2 | 3 = 2): string {
  const cri = version === 1 ? "plugins.cri" : `plugins."io.containerd.grpc.v1.cri"`;
  const opt = version === 1 ? "plugins.opt" : `plugins."io.containerd.internal.v1.opt"`;
  return `# This node's own configuration, kept by hand.
${version === 1 ? "" : `version = ${version}\n`}oom_score = 0   # as the unit has it

[grpc]
  address = "${places.socket}"

[${opt}]
  path = "${places.root}/opt"

[${cri}]
  sandbox_image = "${PAUSE}" # never pulled
  restrict_oom_score_adj = true
  disable_apparmor = true
  max_container_log_line_size = 12345
  [${cri}.cni]
    conf_dir = "${places.root}/no-cni"
  [${cri}.containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [${cri}.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
    # Another one, for a cgroup driver that this machine has not.
    [${cri}.containerd.runtimes.other]
      runtime_type = "io.containerd.runc.v2"
      [${cri}.containerd.runtimes.other.options]
        SystemdCgroup = true
`;
}
