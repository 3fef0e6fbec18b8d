import type { FileView } from "../files/node-files.ts";
import type { DesiredState } from "../plan.ts";
import type {
  Inspection,
  Route,
  Runtime,
  RuntimeControl,
  RuntimeImages,
  Support,
  Targets,
  Views,
} from "../runtime.ts";
import type { ContainersOptions, EngineName } from "./connection.ts";
import { Connection } from "./connection.ts";
import { CrioControl, PodmanControl } from "./control.ts";
import { CriImages } from "../containerd/images.ts";
import { PodmanImages } from "./images.ts";
import { inspect } from "./inspect.ts";
import { planTargets } from "./plan.ts";
import { OWN_PATH, inForce, readRegistries } from "./registries.ts";

/** Podman (with Buildah and Skopeo) or CRI-O as a node's runtime. They read the same files. */
export class ContainersRuntime implements Runtime {
  readonly name: EngineName;
  readonly title: string;
  readonly main = OWN_PATH;
  readonly knownMain = OWN_PATH;
  readonly control: RuntimeControl;
  readonly images: RuntimeImages;
  readonly #connection: Connection;

  constructor(name: EngineName, options: ContainersOptions) {
    const connection = new Connection(name, options);
    this.#connection = connection;
    this.name = name;
    this.title = connection.title;
    this.control = name === "podman" ? new PodmanControl(connection) : new CrioControl(connection);
    this.images = name === "podman" ? new PodmanImages(connection) : new CriImages(connection);
  }

  get withoutRestart(): string {
    return this.name === "podman"
      ? "every command reads registries.conf.d"
      : "CRI-O is told to load registries.conf.d again (SIGHUP)";
  }

  get credentialUse(): "login-or-registry" | "none" {
    return this.name === "podman" ? "login-or-registry" : "none";
  }

  support(namespaces: readonly string[]): Promise<Support> {
    const { filesOnly, files } = this.#connection.options;
    if (this.name === "podman" && !filesOnly && !files.isOwnRoot) {
      const reason = "it is a program of the node: run entrepot there to wire it";
      return Promise.resolve({ supported: [], reason });
    }
    const supported = namespaces.filter((name) => !name.includes(":"));
    const isAll = supported.length === namespaces.length;
    const reason = "a name with a port cannot be part of the path by which a mirror is asked";
    return Promise.resolve({ supported, reason: isAll ? undefined : reason });
  }

  async targets(views: Views, desired: DesiredState): Promise<Targets> {
    const engine = await this.#connection.engine();
    return planTargets({ view: views.now, engine, desired });
  }

  async inspect(view: FileView): Promise<Inspection> {
    const { daemon } = this.#connection;
    return inspect({ view, engine: await this.#connection.engine(), daemon });
  }

  route(view: FileView, namespace: string): Promise<Route> {
    const registries = readRegistries(view);
    const entry = inForce(registries, namespace);
    const location = entry?.location ?? namespace;
    const server = `https://${location === "docker.io" ? "registry-1.docker.io" : location}`;
    const problems = registries.defects.map(({ at, what }) => `${at.file}:${at.line}: ${what}`);
    if (entry === undefined) {
      const missing = "no [[registry]] has this prefix";
      const direct = { hosts: [], server, serverCa: [] };
      return Promise.resolve({ ...direct, problems: [...problems, missing] });
    }
    const hosts = entry.mirrors.map((mirror) => {
      // The cache's location ends with the registry's name; others are shown as they are.
      const host = mirror.location.replace(new RegExp(`/${RegExp.escape(namespace)}$`), "");
      return `${mirror.insecure ? "http" : "https"}://${host}`;
    });
    return Promise.resolve({ file: entry.file, hosts, server, serverCa: [], problems });
  }
}
