import type { NodeFiles } from "../files/node-files.ts";
import { readText } from "../files/node-files.ts";
import type { RuntimeFaultKind } from "../runtime.ts";
import { RuntimeFault } from "../runtime.ts";
import { Cri, CriFault } from "./cri/cri.ts";
import type { Daemon } from "./daemon.ts";
import { configOf, findDaemon } from "./daemon.ts";
import { programOutput } from "./program-output.ts";
import type { ContainerdVersion } from "./traits.ts";
import { parseContainerdVersion } from "./traits.ts";

export const DEFAULT_SOCKET = "/run/containerd/containerd.sock";
const USUAL_SOCKETS = new Set([DEFAULT_SOCKET, `/var${DEFAULT_SOCKET}`]);
const DEFAULT_CONFIG = "/etc/containerd/config.toml";

export interface ContainerdOptions {
  readonly files: NodeFiles;
  readonly socket?: string;
  readonly config?: string;
  /** What the version is, where nothing that runs can tell it. */
  readonly version?: string;
  /** A shell command in place of `systemctl restart containerd`. */
  readonly restartCommand?: string;
  /** Works on the files of another root: no socket is opened, nothing is run. */
  readonly filesOnly: boolean;
}

/** Where a containerd is, what it runs as, and which version it has. */
export class Connection {
  readonly socket: string;
  readonly options: ContainerdOptions;
  #main: string | undefined;
  #version: Promise<VersionFound> | undefined;

  constructor(options: ContainerdOptions) {
    this.options = options;
    // As crictl and the kubelet have it.
    this.socket = (options.socket ?? DEFAULT_SOCKET).replace(/^unix:\/\//, "");
  }

  /**
   * The main configuration file. Found out when it is first asked for, and so under the lock where
   * something is to be changed: another run may be restarting containerd until then.
   *
   * @throws RuntimeFault of kind `unknown`
   */
  get main(): string {
    this.#main ??= this.options.config ?? this.#mainOfDaemon();
    return this.#main;
  }

  /** Undefined where neither an option nor a process tells it. */
  get knownMain(): string | undefined {
    const { config } = this.options;
    if (config !== undefined) return config;
    return this.daemon && (configOf(this.daemon) ?? DEFAULT_CONFIG);
  }

  /** The process of this moment: another one after a restart. */
  get daemon(): Daemon | undefined {
    return this.options.filesOnly ? undefined : findDaemon(this.socket);
  }

  /**
   * A containerd that is being restarted has no process for a moment. Where it is not the machine's
   * usual one, the usual file must not stand in for its own: it would be another containerd's.
   */
  #mainOfDaemon(): string {
    const { daemon } = this;
    if (daemon) return configOf(daemon) ?? DEFAULT_CONFIG;
    if (this.options.filesOnly || USUAL_SOCKETS.has(this.socket)) return DEFAULT_CONFIG;
    const advice = "start it, or name its configuration with --containerd-config";
    const what = `nothing answers at ${this.socket}, so that its configuration is not known`;
    throw new RuntimeFault("unknown", `${what}: ${advice}`);
  }

  /** A client for one purpose: one that has lost its server waits longer and longer. */
  async withCri<T>(use: (cri: Cri) => Promise<T>): Promise<T> {
    const cri = new Cri(this.socket);
    try {
      return await use(cri);
    } finally {
      cri.close();
    }
  }

  /** As `withCri`, for callers who know of runtimes alone. @throws RuntimeFault of that kind */
  async ask<T>(kind: RuntimeFaultKind, use: (cri: Cri) => Promise<T>): Promise<T> {
    try {
      return await this.withCri(use);
    } catch (error) {
      if (!(error instanceof CriFault)) throw error;
      throw new RuntimeFault(kind, error.message, { cause: error });
    }
  }

  /** @throws RuntimeFault of kind `unknown` */
  version(): Promise<VersionFound> {
    this.#version ??= this.#findVersion();
    return this.#version;
  }

  async #findVersion(): Promise<VersionFound> {
    for await (const [source, text] of this.#versionSources()) {
      const version = text === undefined ? undefined : parseContainerdVersion(text);
      if (version) return { version, source };
    }
    const { filesOnly, files } = this.options;
    const where = filesOnly ? `below ${files.root}` : `at ${this.socket}`;
    const advice =
      "say which one it is with --containerd-version, or where it listens with --socket";
    throw new RuntimeFault(
      "unknown",
      `no containerd was found ${where}, and no program of that name: ${advice}`,
    );
  }

  async *#versionSources(): AsyncGenerator<[source: string, text: string | undefined]> {
    const { version, filesOnly, files } = this.options;
    yield ["--containerd-version", version];
    if (!filesOnly) {
      const asked = this.withCri((cri) => cri.daemonVersion(2_000)).catch(() => undefined);
      yield [this.socket, await asked];
      const executable = this.daemon?.executable ?? "containerd";
      yield [`${executable} --version`, programOutput(executable, ["--version"])];
    }
    const status = readText(files, "/var/lib/dpkg/status") ?? "";
    const dpkg = /^Package: containerd(?:\.io)?\n(?:.+\n)*?Version: (?:\d+:)?(\S+)/m.exec(
      status,
    )?.[1];
    yield ["/var/lib/dpkg/status", dpkg];
  }
}

export interface VersionFound {
  readonly version: ContainerdVersion;
  /** What told it. */
  readonly source: string;
}
