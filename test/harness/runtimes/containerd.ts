import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { renderHostsToml } from "../../../src/config/containerd/hosts-toml.ts";
import { type ContainerdLine, ensureContainerd } from "../../../scripts/components/debian.mjs";
import { Cri } from "./cri.ts";
import { recordOwner, killShims, removeAbandoned, unmountBelow } from "./containerd-cleanup.ts";
import { writeLayout } from "../images/oci-layout.ts";
import { pauseImage } from "../images/images.ts";
import { TempDir, tempDir } from "../temp-dir.ts";
import { type ChildProcess, mustRun, run, startProcess } from "../processes.ts";

export interface ContainerdOptions {
  /** The release line; default: Debian's own 1.6. */
  readonly line?: ContainerdLine;
  /**
   * The text of each hosts.toml, by its directory in certs.d: `reg.test`, `127.0.0.1:5000`,
   * `_default`.
   */
  readonly hosts?: Readonly<Record<string, string>>;
  /** The pod sandbox (pause) image; by default one is imported, so that no registry is needed. */
  readonly sandboxImage?: string;
  /** TOML tables that are appended to the harness's config.toml. */
  readonly additions?: string;
  /** Additional variables of its environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Makes a complete config.toml in place of the harness's own. */
  readonly config?: (pieces: ContainerdPieces) => string;
}

/** What a config.toml needs to run beside other instances of containerd. */
export interface ContainerdPieces {
  readonly root: string;
  readonly state: string;
  readonly socket: string;
  readonly certsDir: string;
  readonly sandboxImage: string;
  readonly snapshotter: string;
}

const SOCKET = "containerd.sock";
const IMPORTED_PAUSE = "localhost/pause:test";

/** An isolated containerd with its own root, state, socket and registry hosts. */
export class Containerd implements AsyncDisposable {
  readonly version: string;
  readonly pieces: ContainerdPieces;
  readonly #bin: string;
  readonly #dir: TempDir;
  readonly #env: Readonly<Record<string, string>>;
  #process: ChildProcess | undefined;
  #cri: Cri;

  constructor(
    bin: string,
    version: string,
    pieces: ContainerdPieces,
    dir: TempDir,
    env: ContainerdOptions["env"] = {},
  ) {
    this.#env = env;
    this.#bin = bin;
    this.version = version;
    this.pieces = pieces;
    this.#dir = dir;
    this.#cri = this.#connect();
  }

  get cri(): Cri {
    return this.#cri;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  get configFile(): string {
    return this.#dir.file("config.toml");
  }

  /** The certs.d directory: CRI's `config_path`. */
  get certsDir(): string {
    return this.pieces.certsDir;
  }

  /** Starts it, after a `stop` with its images. Resolves when CRI reports the runtime as ready. */
  async start(): Promise<void> {
    if (this.#process) return;
    // A gRPC client that has lost its server reconnects with exponential backoff: use a new one.
    this.#cri[Symbol.dispose]();
    this.#cri = this.#connect();
    this.#process = await startProcess({
      name: `containerd ${this.version}`,
      command: [join(this.#bin, "containerd"), "--config", this.configFile],
      // The shim of this release has to be found before the system's.
      env: {
        ...this.#env,
        PATH: `${this.#bin}:/usr/sbin:/usr/bin:/sbin:/bin`,
        NOTIFY_SOCKET: undefined,
      },
      within: 30_000,
      ready: async () => {
        // gRPC would back off for a second after a failed first attempt.
        const connection = await Bun.connect({ unix: this.pieces.socket, socket: { data() {} } });
        connection.end();
        await this.cri.call("Version", { version: "v1" }, 1_000);
        const { status } = await this.cri.call("Status", { verbose: false }, 1_000);
        return status.conditions.some((one) => one.type === "RuntimeReady" && one.status);
      },
    });
  }

  async stop(): Promise<void> {
    await this.#process?.stop();
    this.#process = undefined;
  }

  /** Replaces a hosts.toml. containerd reads it at every pull, so it needs no restart. */
  async writeHosts(directory: string, text: string): Promise<void> {
    await mkdir(join(this.certsDir, directory), { recursive: true });
    const file = join(this.certsDir, directory, "hosts.toml");
    // Atomically by rename: a partly written file is an error to containerd, which then bypasses
    // the mirror.
    await writeFile(`${file}.new`, text);
    await rename(`${file}.new`, file);
  }

  /** Runs `ctr` in CRI's namespace and returns its stdout. */
  async ctr(...args: string[]): Promise<string> {
    return mustRun(this.ctrCommand(...args));
  }

  ctrCommand(...args: string[]): string[] {
    const { socket } = this.pieces;
    return [join(this.#bin, "ctr"), "-a", socket, "-n", "k8s.io", ...args];
  }

  /** The last log lines. */
  output(): string {
    return this.#process?.output() ?? "";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      // Pods that a failed test left running are removed gracefully if possible.
      if (this.#process?.exitCode === undefined && this.#process) await this.cri.removePods();
    } catch {
      // The next steps kill what is left.
    }
    this.#cri[Symbol.dispose]();
    await this.stop();
    await killShims(this.pieces.socket);
    await unmountBelow(this.#dir.path);
    await this.#dir[Symbol.asyncDispose]();
  }

  #connect(): Cri {
    return new Cri(this.pieces.socket, new TempDir(this.#dir.file("logs")));
  }
}

export async function startContainerd(options: ContainerdOptions = {}): Promise<Containerd> {
  const { bin, version } = await ensureContainerd(options.line ?? "1.6");
  cleanedUp ??= removeAbandoned("entrepot-c-", SOCKET);
  await cleanedUp;
  const dir = await tempDir("c");
  await recordOwner(dir.path);
  const pieces: ContainerdPieces = {
    root: dir.file("root"),
    state: dir.file("state"),
    socket: dir.file(SOCKET),
    certsDir: dir.file("certs.d"),
    sandboxImage: options.sandboxImage ?? IMPORTED_PAUSE,
    snapshotter: await snapshotter(),
  };
  const containerd = new Containerd(bin, version, pieces, dir, options.env);
  try {
    await mkdir(pieces.certsDir);
    await mkdir(dir.file("logs"));
    const config = (options.config ?? defaultConfig)(pieces);
    await writeFile(containerd.configFile, `${config}${options.additions ?? ""}`);
    for (const [directory, text] of Object.entries(options.hosts ?? {}))
      await containerd.writeHosts(directory, text);
    await containerd.start();
    if (options.sandboxImage === undefined) {
      const archive = dir.file("pause.tar");
      await writeLayout(archive, await pauseImage(), IMPORTED_PAUSE);
      await containerd.ctr("images", "import", archive);
    }
    return containerd;
  } catch (error) {
    await containerd[Symbol.asyncDispose]();
    throw error;
  }
}

export interface MirrorOptions {
  /**
   * The registry's URL, which containerd tries last. Name the mirror here to use the mirror alone.
   */
  readonly server: string;
  readonly hosts: readonly string[];
  readonly capabilities?: readonly string[];
}

/** A hosts.toml in the form that entrepot writes, without the ownership mark and without timeouts. */
export function hostsToml(options: MirrorOptions): string {
  const { server, hosts, capabilities = ["pull", "resolve"] } = options;
  const entries = hosts.map((url) => ({ url, capabilities }));
  return renderHostsToml({ comments: [], server, root: {}, hosts: entries });
}

/** `version = 2` is the one format that every release line from 1.6 to 2.3 accepts. */
function defaultConfig(pieces: ContainerdPieces): string {
  const cri = `plugins."io.containerd.grpc.v1.cri"`;
  return `version = 2
root = "${pieces.root}"
state = "${pieces.state}"
oom_score = 0

[grpc]
  address = "${pieces.socket}"

[plugins."io.containerd.internal.v1.opt"]
  path = "${pieces.root}/opt"

[${cri}]
  sandbox_image = "${pieces.sandboxImage}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [${cri}.cni]
    conf_dir = "${pieces.root}/no-cni"
  [${cri}.containerd]
    snapshotter = "${pieces.snapshotter}"
    default_runtime_name = "runc"
    [${cri}.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
  [${cri}.registry]
    config_path = "${pieces.certsDir}"
`;
}

let cleanedUp: Promise<void> | undefined;
let detectedSnapshotter: Promise<string> | undefined;

/** overlayfs if the file system of the temporary folder supports it, else native (plain copies). */
function snapshotter(): Promise<string> {
  detectedSnapshotter ??= (async () => {
    await using dir = await tempDir("overlay");
    const [lower, upper, work, merged] = ["l", "u", "w", "m"].map((name) => dir.file(name));
    await Promise.all([lower, upper, work, merged].map(async (folder) => folder && mkdir(folder)));
    const options = `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
    const { code } = await run(["mount", "-t", "overlay", "overlay", "-o", options, `${merged}`]);
    if (code !== 0) return "native";
    await mustRun(["umount", `${merged}`]);
    return "overlayfs";
  })();
  return detectedSnapshotter;
}
