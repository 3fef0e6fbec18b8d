import { Cri, CriFault } from "../containerd/cri/cri.ts";
import type { Daemon } from "../service/daemon.ts";
import { findDaemon } from "../service/daemon.ts";
import type { NodeFiles } from "../files/node-files.ts";
import { readText } from "../files/node-files.ts";
import type { RuntimeFaultKind } from "../runtime.ts";
import { RuntimeFault } from "../runtime.ts";
import type { EngineVersion, Traits } from "./traits.ts";
import { parseEngineVersion, traitsOf } from "./traits.ts";

const CRIO_SOCKET = "/run/crio/crio.sock";
const PODMAN_MS = 60_000;

export type EngineName = "podman" | "cri-o";

export interface ContainersOptions {
  readonly files: NodeFiles;
  /** That of CRI-O. */
  readonly socket?: string;
  /** Works on the files of another root: no socket is opened and no program is run. */
  readonly filesOnly: boolean;
}

/** Podman or CRI-O, which read the same files. */
export interface Engine {
  readonly name: EngineName;
  readonly title: string;
  readonly version: EngineVersion;
  /** The socket, program or file that the version comes from. */
  readonly source: string;
  readonly traits: Traits;
}

export const TITLES: Readonly<Record<EngineName, string>> = { podman: "Podman", "cri-o": "CRI-O" };

/** Access to Podman by its program, and to CRI-O by its socket. */
export class Connection {
  readonly name: EngineName;
  readonly options: ContainersOptions;
  readonly socket: string;
  #engine: Promise<Engine> | undefined;

  constructor(name: EngineName, options: ContainersOptions) {
    this.name = name;
    this.options = options;
    this.socket = (options.socket ?? CRIO_SOCKET).replace(/^unix:\/\//, "");
  }

  get title(): string {
    return TITLES[this.name];
  }

  /** The running crio. Podman has none: every command reads the files. */
  get daemon(): Daemon | undefined {
    if (this.options.filesOnly || this.name === "podman") return undefined;
    return findDaemon(this.socket, this.options.files.isOwnRoot);
  }

  /** @throws RuntimeFault of kind `unknown` */
  engine(): Promise<Engine> {
    this.#engine ??= this.#detect();
    return this.#engine;
  }

  async #detect(): Promise<Engine> {
    const failures: RuntimeFault[] = [];
    for await (const [source, text] of this.#versionSources(failures)) {
      const version = parseEngineVersion(text ?? "");
      if (version === undefined) continue;
      const { name, title } = this;
      return { name, title, version, source, traits: traitsOf(name, version) };
    }
    const { filesOnly, files } = this.options;
    const where = filesOnly ? `below ${files.root}` : "on this node";
    const reason = failures.map((failure) => ` (${failure.message})`).join("");
    throw new RuntimeFault("unknown", `no ${this.title} was found ${where}${reason}`);
  }

  async *#versionSources(
    failures: RuntimeFault[],
  ): AsyncGenerator<[source: string, text: string | undefined]> {
    const { filesOnly, files } = this.options;
    const recordFailure = (error: unknown): undefined => {
      if (!(error instanceof RuntimeFault)) throw error;
      failures.push(error);
    };
    if (!filesOnly && this.name === "podman") {
      const reported = this.podman("unknown", ["--version"]).catch(recordFailure);
      yield ["podman --version", await reported];
    } else if (!filesOnly) {
      const reported = this.callCri("unknown", (cri) => cri.version()).catch(recordFailure);
      yield [this.socket, (await reported)?.version];
    }
    const status = readText(files, "/var/lib/dpkg/status") ?? "";
    const name = this.name === "podman" ? "podman" : "cri-o(?:-\\d.*)?";
    const version = new RegExp(`^Package: ${name}\\n(?:.+\\n)*?Version: (?:\\d+:)?(\\S+)`, "m");
    yield ["/var/lib/dpkg/status", version.exec(status)?.[1]];
  }

  /** Runs podman and returns its stdout. @throws RuntimeFault of `kind` with its last line of stderr */
  async podman(
    kind: RuntimeFaultKind,
    args: readonly string[],
    timeoutMs = PODMAN_MS,
  ): Promise<string> {
    if (!this.options.files.isOwnRoot) {
      const advice = "run entrepot on the node itself, or with nsenter --target 1 --mount";
      throw new RuntimeFault(kind, `podman cannot be run for another root: ${advice}`);
    }
    const child = spawnPodman(args, timeoutMs);
    if (child === undefined) throw new RuntimeFault(kind, "there is no program named podman");
    const [out, err, code] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ]);
    if (code === 0) return out;
    const reason = err
      .trim()
      .split("\n")
      .at(-1)
      ?.replace(/^Error: /, "");
    throw new RuntimeFault(kind, `podman ${args[0]}: ${reason}`);
  }

  /** @throws RuntimeFault of `kind` */
  async callCri<T>(kind: RuntimeFaultKind, use: (cri: Cri) => Promise<T>): Promise<T> {
    // A client that lost its server backs off longer and longer: one for each use.
    const { files } = this.options;
    const cri = new Cri(files.isOwnRoot ? this.socket : files.resolve(this.socket));
    try {
      return await use(cri);
    } catch (error) {
      if (!(error instanceof CriFault)) throw error;
      throw new RuntimeFault(kind, error.message, { cause: error });
    } finally {
      cri.close();
    }
  }
}

function spawnPodman(args: readonly string[], timeout: number) {
  try {
    return Bun.spawn(["podman", ...args], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      timeout,
    });
  } catch {
    return undefined;
  }
}
