import { posix } from "node:path";
import type { Daemon } from "../service/daemon.ts";
import { configFileOf, findDaemon } from "../service/daemon.ts";
import type { NodeFiles } from "../files/node-files.ts";
import { readText } from "../files/node-files.ts";
import { RuntimeFault, type RuntimeFaultKind } from "../runtime.ts";
import { readUnit } from "../service/systemd.ts";
import type { DaemonJson } from "./daemon-json.ts";
import type { EngineInfo } from "./engine.ts";
import { Engine, EngineFault } from "./engine.ts";
import type { DockerVersion, Traits } from "./traits.ts";
import { parseDockerVersion, traitsOf } from "./traits.ts";

export const DEFAULT_SOCKET = "/run/docker.sock";
export const DEFAULT_CONFIG = "/etc/docker/daemon.json";
/** Where dockerd reads certificates and hosts directories. No option changes it. */
export const CERTS_DIRECTORY = "/etc/docker/certs.d";
export const UNIT = "docker.service";

export interface DockerOptions {
  readonly files: NodeFiles;
  readonly socket?: string;
  /** Works on the files of another root: no socket is opened and no program is run. */
  readonly filesOnly: boolean;
}

/** How images are stored, which decides what mirrors Docker can have. Unknown only for files alone. */
export type ImageStore = "classic" | "containerd" | "unknown";

/** Docker on this node: its version, store, and command line. */
export interface Docker {
  readonly version: DockerVersion;
  /** The socket or the file that the version comes from. */
  readonly source: string;
  readonly traits: Traits;
  readonly info: EngineInfo | undefined;
}

/** Access to one dockerd: its socket, process and configuration file. */
export class Connection {
  readonly socket: string;
  readonly options: DockerOptions;
  readonly engine: Engine;
  #docker: Promise<Docker> | undefined;

  constructor(options: DockerOptions) {
    this.options = options;
    this.socket = (options.socket ?? DEFAULT_SOCKET).replace(/^unix:\/\//, "");
    const { files } = options;
    this.engine = new Engine(files.isOwnRoot ? this.socket : files.resolve(this.socket));
  }

  get main(): string {
    return this.knownMain ?? DEFAULT_CONFIG;
  }

  /** Path of daemon.json if the running process names it. */
  get knownMain(): string | undefined {
    return this.daemon && (configFileOf(this.daemon, ["--config-file"]) ?? DEFAULT_CONFIG);
  }

  get daemon(): Daemon | undefined {
    if (this.options.filesOnly) return undefined;
    const daemon = findDaemon(this.socket, this.options.files.isOwnRoot);
    return daemon && posix.basename(daemon.executable).startsWith("dockerd") ? daemon : undefined;
  }

  /** The flags of the running dockerd, or those with which its unit would start it. */
  get flags(): readonly string[] {
    return (
      this.daemon?.command ??
      readUnit(this.options.files, UNIT)?.command.split(/\s+/).filter(Boolean) ??
      []
    );
  }

  /** @throws RuntimeFault of kind `unknown` */
  docker(): Promise<Docker> {
    this.#docker ??= this.#detect();
    return this.#docker;
  }

  async #detect(): Promise<Docker> {
    const { filesOnly, files } = this.options;
    let failure: EngineFault | undefined;
    const asked = filesOnly ? undefined : this.engine.info();
    const info = await asked?.catch((error: unknown) => {
      if (!(error instanceof EngineFault)) throw error;
      failure = error;
      return undefined;
    });
    const status = readText(files, "/var/lib/dpkg/status") ?? "";
    const dpkg = /^Package: docker(?:\.io|-ce)\n(?:.+\n)*?Version: (\S+)/m.exec(status)?.[1];
    const version = parseDockerVersion(info?.version ?? dpkg ?? "");
    if (version === undefined) {
      if (failure !== undefined && failure.kind !== "absent") {
        const what = `${failure.message}, and its version is not known: see its log, or restart it`;
        throw new RuntimeFault("unknown", what, { cause: failure });
      }
      const where = filesOnly ? `below ${files.root}` : `at ${this.socket}`;
      throw new RuntimeFault(
        "unknown",
        `no Docker was found ${where}: start it, or name its socket with --socket`,
      );
    }
    const source = info ? this.socket : "/var/lib/dpkg/status";
    return { version, source, info, traits: traitsOf(version) };
  }

  /** @throws RuntimeFault of `kind` */
  async call<T>(kind: RuntimeFaultKind, use: (engine: Engine) => Promise<T>): Promise<T> {
    try {
      return await use(this.engine);
    } catch (error) {
      if (!(error instanceof EngineFault)) throw error;
      throw new RuntimeFault(kind, error.message, { cause: error });
    }
  }
}

export function imageStore(
  { info, traits }: Docker,
  configuration: Pick<DaemonJson, "containerdStore">,
): ImageStore {
  if (info) return info.hasContainerdStore ? "containerd" : "classic";
  if (configuration.containerdStore !== undefined)
    return configuration.containerdStore ? "containerd" : "classic";
  return traits.containerdStoreByDefault ? "unknown" : "classic";
}

/** Whether every registry has its mirrors in a hosts.toml, which is read at every pull. */
export function usesHostsDirectories({ traits }: Docker, store: ImageStore): boolean {
  return store === "containerd" && traits.readsHostsDirectories;
}
