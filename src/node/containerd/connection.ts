import type { FileView, NodeFiles } from "../files/node-files.ts";
import { readText } from "../files/node-files.ts";
import type { RuntimeFaultKind } from "../runtime.ts";
import { RuntimeFault } from "../runtime.ts";
import type { DumpedRegistry } from "./config/config-dump.ts";
import { dumpFiles, dumpRegistry } from "./config/config-dump.ts";
import type { Configuration } from "./config/configuration.ts";
import { Cri, CriFault } from "./cri/cri.ts";
import type { Daemon } from "../service/daemon.ts";
import { DEFAULT_CONFIG, DEFAULT_SOCKET } from "./default-paths.ts";
import { CONFIG_OPTIONS, configFileOf, findDaemon, optionValue } from "../service/daemon.ts";
import { readUnit } from "../service/systemd.ts";
import { managerOf } from "./managed-files.ts";
import { programOutput } from "./program-output.ts";
import type { ContainerdVersion } from "./traits.ts";
import { parseContainerdVersion } from "./traits.ts";

export const UNIT = "containerd.service";
const DEFAULT_SOCKETS = new Set([DEFAULT_SOCKET, `/var${DEFAULT_SOCKET}`]);
/** Where packages and archives put containerd. */
const PROGRAMS = ["/usr/bin/containerd", "/usr/local/bin/containerd", "/opt/bin/containerd"];

export interface ContainerdOptions {
  readonly files: NodeFiles;
  readonly socket?: string;
  /** Path of the main configuration file. */
  readonly config?: string;
  /** containerd's version, for a node where it cannot be detected. */
  readonly version?: string;
  /** A containerd program of this machine that shall read the files, in place of the running one's. */
  readonly binary?: string;
  /** A shell command that replaces `systemctl restart containerd`. */
  readonly restartCommand?: string;
  /** Works on the files of another root: no socket is opened and no program is run. */
  readonly filesOnly: boolean;
}

/** Access to one containerd: its socket, process, main configuration file and version. */
export class Connection {
  readonly socket: string;
  readonly options: ContainerdOptions;
  #main: string | undefined;
  #version: Promise<DetectedVersion> | undefined;
  #inRoot: string | undefined;

  constructor(options: ContainerdOptions) {
    this.options = options;
    // crictl and the kubelet take the socket with this scheme too.
    this.socket = (options.socket ?? DEFAULT_SOCKET).replace(/^unix:\/\//, "");
  }

  /**
   * Path of the main configuration file. It is detected on first use, which is under the lock if
   * something is to be changed: until then, another run may be restarting containerd.
   *
   * @throws RuntimeFault of kind `unknown`
   */
  get main(): string {
    this.#main ??= this.options.config ?? this.#detectMain();
    return this.#main;
  }

  /** The same path if an option or the running process names it; else undefined. */
  get knownMain(): string | undefined {
    const { config } = this.options;
    if (config !== undefined) return config;
    return this.daemon && (configFileOf(this.daemon) ?? DEFAULT_CONFIG);
  }

  /** The current process; a restart replaces it. */
  get daemon(): Daemon | undefined {
    const { filesOnly, files } = this.options;
    return filesOnly ? undefined : findDaemon(this.socket, files.isOwnRoot);
  }

  /**
   * The program whose `config dump` tells what is in force, and which does it: the one that an option
   * names, that of the running process, or, for the files of another root, the one that is in there, if
   * it runs on this machine.
   */
  get program(): string | undefined {
    const { binary, filesOnly, files } = this.options;
    if (binary !== undefined) return binary;
    if (!filesOnly && files.isOwnRoot) return this.daemon?.executable;
    this.#inRoot ??= PROGRAMS.map((path) => files.resolve(path)).find(isContainerd);
    return this.#inRoot;
  }

  /** The registry settings as containerd itself reads the files. Undefined if it cannot be asked. */
  dump(view: FileView, configuration: Configuration): DumpedRegistry | undefined {
    const { program } = this;
    const { filesOnly, files } = this.options;
    if (program === undefined) return undefined;
    return filesOnly || !files.isOwnRoot
      ? dumpFiles(program, view, configuration)
      : dumpRegistry(program, configuration.main);
  }

  /**
   * containerd has no process for a moment while it restarts. Only for the default socket is the
   * default file assumed then: for another socket, that file would belong to another containerd.
   */
  #detectMain(): string {
    const { daemon } = this;
    if (daemon) return configFileOf(daemon) ?? DEFAULT_CONFIG;
    const isDefault = DEFAULT_SOCKETS.has(this.socket);
    if (isDefault && !this.options.files.isOwnRoot) return this.#mainOfUnit() ?? DEFAULT_CONFIG;
    if (this.options.filesOnly || isDefault) return DEFAULT_CONFIG;
    const advice = "start containerd, or name its configuration file with --containerd-config";
    const what = `nothing listens on ${this.socket}, so its configuration file cannot be determined`;
    throw new RuntimeFault("unknown", `${what}: ${advice}`);
  }

  /** In a container, the node's processes may be out of sight, but its unit says how it is started. */
  #mainOfUnit(): string | undefined {
    const command = readUnit(this.options.files, UNIT)?.command.split(/\s+/) ?? [];
    return optionValue(command, CONFIG_OPTIONS);
  }

  /** Opens a client for one use: a client that lost its server backs off longer and longer. */
  async withCri<T>(use: (cri: Cri) => Promise<T>): Promise<T> {
    const { files } = this.options;
    const cri = new Cri(files.isOwnRoot ? this.socket : files.resolve(this.socket));
    try {
      return await use(cri);
    } finally {
      cri.close();
    }
  }

  /** Like `withCri`, with a CriFault turned into a RuntimeFault. @throws RuntimeFault of `kind` */
  async callCri<T>(kind: RuntimeFaultKind, use: (cri: Cri) => Promise<T>): Promise<T> {
    try {
      return await this.withCri(use);
    } catch (error) {
      if (!(error instanceof CriFault)) throw error;
      throw new RuntimeFault(kind, error.message, { cause: error });
    }
  }

  /** @throws RuntimeFault of kind `unknown` */
  version(): Promise<DetectedVersion> {
    this.#version ??= this.#detectVersion();
    return this.#version;
  }

  async #detectVersion(): Promise<DetectedVersion> {
    for await (const [source, text] of this.#versionSources()) {
      const version = text === undefined ? undefined : parseContainerdVersion(text);
      if (version) return { version, source };
    }
    const { filesOnly, files } = this.options;
    const manager = managerOf(files, this.main, this.knownMain === undefined);
    if (manager) {
      const what = `${manager.name} manages this node (${manager.evidence}), and no other containerd was found`;
      throw new RuntimeFault("unknown", `${what}: ${manager.advice}`);
    }
    const where = filesOnly ? `below ${files.root}` : `at ${this.socket}`;
    const advice = "name its version with --containerd-version, or its socket with --socket";
    throw new RuntimeFault(
      "unknown",
      `no containerd was found ${where}, and no program of that name: ${advice}`,
    );
  }

  async *#versionSources(): AsyncGenerator<[source: string, text: string | undefined]> {
    const { version, binary, filesOnly, files } = this.options;
    yield ["--containerd-version", version];
    if (binary !== undefined || filesOnly) {
      const { program } = this;
      if (program !== undefined) yield [`${program} --version`, versionOf(program)];
    }
    if (!filesOnly) {
      const reported = this.withCri((cri) => cri.daemonVersion(2_000)).catch(() => undefined);
      yield [this.socket, await reported];
      const executable = files.isOwnRoot ? (this.daemon?.executable ?? "containerd") : this.program;
      if (executable !== undefined) yield [`${executable} --version`, versionOf(executable)];
    }
    const status = readText(files, "/var/lib/dpkg/status") ?? "";
    const dpkg = /^Package: containerd(?:\.io)?\n(?:.+\n)*?Version: (?:\d+:)?(\S+)/m.exec(
      status,
    )?.[1];
    yield ["/var/lib/dpkg/status", dpkg];
  }
}

/** Whether a program runs on this machine and says that it is containerd. */
export function isContainerd(executable: string): boolean {
  return /^containerd\s/.test(versionOf(executable) ?? "");
}

function versionOf(executable: string): string | undefined {
  return programOutput(executable, ["--version"]);
}

export interface DetectedVersion {
  readonly version: ContainerdVersion;
  /** The option, socket, command or file that the version comes from. */
  readonly source: string;
}
