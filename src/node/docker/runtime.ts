import { posix } from "node:path";
import { DOCKER_HUB } from "../../config/settings.ts";
import { defaultServer } from "../containerd/hosts/convert-mirrors.ts";
import { directoryInForce } from "../containerd/hosts/hosts-directories.ts";
import { routeThroughDirectories } from "../containerd/hosts/route.ts";
import type { FileState, FileView } from "../files/node-files.ts";
import { OverlaidFiles } from "../files/node-files.ts";
import type { DesiredState } from "../plan.ts";
import type { Inspection, Route, Runtime, Support, Targets, Views, Wiring } from "../runtime.ts";
import type { DockerOptions } from "./connection.ts";
import { CERTS_DIRECTORY, Connection, imageStore, usesHostsDirectories } from "./connection.ts";
import { DockerControl, differences } from "./control.ts";
import { MIRRORS, readDaemonJson } from "./daemon-json.ts";
import { DockerImages } from "./images.ts";
import { inspect } from "./inspect.ts";
import { planTargets, unwiredDaemonJson } from "./plan.ts";

/** Docker Engine as a node's runtime. It is called over its API. */
export class DockerRuntime implements Runtime {
  readonly name = "docker";
  readonly title = "Docker";
  readonly withoutRestart =
    "daemon.json is reloaded (SIGHUP), and hosts.toml is read at every pull";
  readonly credentialUse = "docker";
  readonly control: DockerControl;
  readonly images: DockerImages;
  readonly #connection: Connection;

  constructor(options: DockerOptions) {
    this.#connection = new Connection(options);
    this.control = new DockerControl(this.#connection);
    this.images = new DockerImages(this.#connection);
  }

  get main(): string {
    return this.#connection.main;
  }

  get knownMain(): string | undefined {
    return this.#connection.knownMain;
  }

  async support(namespaces: readonly string[]): Promise<Support> {
    const docker = await this.#connection.docker();
    const { options, flags } = this.#connection;
    const configuration = readDaemonJson(options.files, this.main, flags);
    // What is wrong with the file is an obstacle of the plan.
    if ("defects" in configuration) return { supported: namespaces, reason: undefined };
    const supported = usesHostsDirectories(docker, imageStore(docker, configuration))
      ? namespaces
      : namespaces.filter((name) => name === DOCKER_HUB);
    const isAll = supported.length === namespaces.length;
    return {
      supported,
      reason: isAll
        ? undefined
        : "without the containerd image store of Docker 28 or newer, Docker has mirrors of Docker Hub only",
    };
  }

  async targets(views: Views, desired: DesiredState): Promise<Targets> {
    const docker = await this.#connection.docker();
    const { flags } = this.#connection;
    return planTargets({ view: views.now, docker, main: this.main, flags, desired });
  }

  async inspect(view: FileView): Promise<Inspection> {
    const docker = await this.#connection.docker();
    const { flags, socket, daemon, options } = this.#connection;
    const { filesOnly } = options;
    return inspect({ view, docker, main: this.main, flags, socket, daemon, filesOnly });
  }

  unwired(path: string, current: FileState, wiring: Wiring): FileState | undefined {
    if (path !== this.main) return undefined;
    const view = new OverlaidFiles(this.#connection.options.files, new Map([[path, current]]));
    return unwiredDaemonJson(view, path, wiring);
  }

  async route(view: FileView, namespace: string): Promise<Route> {
    const docker = await this.#connection.docker();
    const configuration = readDaemonJson(view, this.main, this.#connection.flags);
    const direct = { hosts: [], server: defaultServer(namespace), serverCa: [] };
    if ("defects" in configuration)
      return { ...direct, problems: configuration.defects.map((defect) => defect.what) };
    const { mirrors } = configuration;
    const { hosts: traits } = docker.traits;
    if (usesHostsDirectories(docker, imageStore(docker, configuration))) {
      const directory = directoryInForce(view, [CERTS_DIRECTORY], namespace, traits);
      const hasFile = directory && view.read(posix.join(directory, "hosts.toml")) !== undefined;
      if (hasFile || namespace !== DOCKER_HUB || mirrors.length === 0)
        return routeThroughDirectories(view, [CERTS_DIRECTORY], namespace, traits, this.title);
    } else if (namespace !== DOCKER_HUB) {
      return { ...direct, problems: ["this Docker has mirrors of Docker Hub only"] };
    }
    const stale = docker.info ? differences(configuration, docker.info) : [];
    const problems = [
      ...(mirrors.length === 0 ? [`${this.main} has no ${MIRRORS}`] : []),
      ...stale.map((key) => `dockerd has not loaded ${key} of ${this.main}`),
    ];
    return { ...direct, file: this.main, hosts: mirrors, problems };
  }
}
