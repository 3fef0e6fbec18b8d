import type { FileView } from "../files/node-files.ts";
import type { DesiredState } from "../plan.ts";
import type {
  Inspection,
  Route,
  Runtime,
  RuntimeImages,
  Support,
  Targets,
  Views,
} from "../runtime.ts";
import { isBooted, loadedKillMode, readUnit } from "../service/systemd.ts";
import type { Configuration } from "./config/configuration.ts";
import { readConfiguration } from "./config/configuration.ts";
import { readRegistryTables } from "./config/registry-tables.ts";
import type { ContainerdOptions } from "./connection.ts";
import { Connection, UNIT } from "./connection.ts";
import { ContainerdControl } from "./control.ts";
import { defaultServer } from "./hosts/convert-mirrors.ts";
import { routeThroughDirectories } from "./hosts/route.ts";
import { CriImages } from "./images.ts";
import type { ManagedBy } from "../managed-by.ts";
import { managerOf } from "./managed-files.ts";
import { inspect, isStale } from "./inspect.ts";
import { planTargets } from "./plan.ts";
import { traitsOf } from "./traits.ts";

/** containerd as a node's runtime. It is called over CRI, as the kubelet does. */
export class ContainerdRuntime implements Runtime {
  readonly name = "containerd";
  readonly title = "containerd";
  readonly withoutRestart = "hosts.toml is read at every pull";
  readonly credentialUse = "pull-secret";
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

  support(namespaces: readonly string[]): Promise<Support> {
    return Promise.resolve({ supported: namespaces, reason: undefined });
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
    if (tables.kind === "deprecated") {
      const direct = { hosts: [], server: defaultServer(namespace), serverCa: [] };
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
    const { directories } = tables;
    const route = routeThroughDirectories(view, directories, namespace, traits, this.title);
    return { ...route, problems: [...problems, ...route.problems] };
  }
}
