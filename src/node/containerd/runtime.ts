import { posix } from "node:path";
import type { FileView } from "../files/node-files.ts";
import { lossyText } from "../files/node-files.ts";
import type { DesiredState } from "../plan.ts";
import type { Inspection, Route, Runtime, RuntimeImages, Targets, Views } from "../runtime.ts";
import { isBooted, loadedKillMode, readUnit } from "../systemd.ts";
import type { Configuration } from "./config/configuration.ts";
import { readConfiguration } from "./config/configuration.ts";
import { readRegistryTables } from "./config/registry-tables.ts";
import type { ContainerdOptions } from "./connection.ts";
import { Connection } from "./connection.ts";
import { ContainerdControl, UNIT } from "./control.ts";
import { defaultServer } from "./hosts/convert-mirrors.ts";
import { directoryInForce } from "./hosts/hosts-directories.ts";
import { isFatal, readHostsFile } from "./hosts/hosts-file.ts";
import { CriImages } from "./images.ts";
import type { ManagedBy } from "../managed-by.ts";
import { managerOf } from "./managed-files.ts";
import { inspect, isStale } from "./inspect.ts";
import { planTargets } from "./plan.ts";
import { traitsOf } from "./traits.ts";

/** containerd as a node's runtime. It is called over CRI, as the kubelet does. */
export class ContainerdRuntime implements Runtime {
  readonly control: ContainerdControl;
  readonly images: RuntimeImages;
  readonly #connection: Connection;

  constructor(options: ContainerdOptions) {
    this.#connection = new Connection(options);
    this.control = new ContainerdControl(this.#connection);
    this.images = new CriImages(this.#connection);
  }

  get main(): string {
    return this.#connection.main;
  }

  get knownMain(): string | undefined {
    return this.#connection.knownMain;
  }

  async targets(views: Views, desired: DesiredState): Promise<Targets> {
    const { version } = await this.#connection.version();
    const manager = this.#managerOf(views.now);
    const targets = planTargets({ views, version, main: this.main, desired, manager });
    const stale = this.#stale(readConfiguration(views.now, this.main, traitsOf(version)));
    return stale === undefined ? targets : { ...targets, stale };
  }

  #managerOf(view: FileView): ManagedBy | undefined {
    return managerOf(view, this.main, this.knownMain === undefined);
  }

  /** containerd reads config_path only when it starts: a later change is not in force. */
  #stale(configuration: Configuration): string | undefined {
    const { daemon, options } = this.#connection;
    if (daemon === undefined) return undefined;
    const changed = configuration.files.find((file) =>
      isStale(options.files.modifiedAt(file.path), daemon),
    );
    return changed && `${changed.path} was modified after containerd started`;
  }

  async inspect(view: FileView): Promise<Inspection> {
    const { options, socket, daemon } = this.#connection;
    const { version, source } = await this.#connection.version();
    return this.#connection.withCri((cri) =>
      inspect({
        view,
        version,
        main: this.main,
        socket,
        daemon,
        versionSource: source,
        dump: (configuration) => this.#connection.dump(view, configuration),
        modifiedAt: (path) => options.files.modifiedAt(path),
        cri: options.filesOnly ? undefined : cri,
        unit: readUnit(view, UNIT),
        loadedKillMode: options.filesOnly || !isBooted(view) ? undefined : loadedKillMode(UNIT),
        manager: this.#managerOf(view),
      }),
    );
  }

  async route(view: FileView, namespace: string): Promise<Route> {
    const { version } = await this.#connection.version();
    const traits = traitsOf(version);
    const tables = readRegistryTables(readConfiguration(view, this.main, traits), traits);
    const direct = { hosts: [], server: defaultServer(namespace), serverCa: [] };
    if (tables.kind === "deprecated") {
      return {
        ...direct,
        problems: ["config.toml has mirrors: containerd reads no hosts directory"],
      };
    }
    const problems =
      tables.directories.length > 1 && traits.colonPathBroken
        ? [
            "config_path names several directories: containerd reads none of them (containerd#12808)",
          ]
        : [];
    const directory = directoryInForce(view, tables.directories, namespace, traits);
    if (directory === undefined)
      return { ...direct, problems: [...problems, "there is no hosts.toml for this registry"] };
    const file = posix.join(directory, "hosts.toml");
    const text = lossyText(view.read(file)?.bytes ?? new Uint8Array());
    const read = readHostsFile(text, directory, traits);
    if (text === "" || !read.isRead) {
      const fatal = read.defects.find((defect) => isFatal(defect, traits));
      const why = fatal ? `line ${fatal.line}: ${fatal.kind}` : "the file is empty";
      return { ...direct, file, problems: [...problems, `containerd ignores this file (${why})`] };
    }
    return {
      file,
      hosts: read.hosts.map((host) => host.url),
      server: read.server ?? direct.server,
      serverCa: read.root.ca ?? [],
      problems,
    };
  }
}
