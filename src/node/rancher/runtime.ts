import { routeThroughDirectories } from "../containerd/hosts/route.ts";
import type { FileState, FileView } from "../files/node-files.ts";
import { lossyText, withText } from "../files/node-files.ts";
import { removeSubtree } from "../files/toml-edit.ts";
import type { DesiredState, Plan } from "../plan.ts";
import type {
  GeneratedFile,
  Inspection,
  Route,
  Runtime,
  Support,
  Targets,
  Views,
  Wiring,
} from "../runtime.ts";
import type { ProductName, RancherOptions } from "./connection.ts";
import { Connection } from "./connection.ts";
import { RancherControl } from "./control.ts";
import { RancherImages } from "./images.ts";
import { inspect, staleReason } from "./inspect.ts";
import { planTargets, unwiredRegistries } from "./plan.ts";
import { traitsOf } from "./traits.ts";

/** k3s or RKE2 as a node's runtime: a containerd whose files are generated from registries.yaml. */
export class RancherRuntime implements Runtime {
  readonly name: ProductName;
  readonly title: string;
  readonly withoutRestart = "registries.yaml is in force";
  readonly credentialUse = "pull-secret";
  readonly control: RancherControl;
  readonly images: RancherImages;
  readonly #connection: Connection;

  constructor(name: ProductName, options: RancherOptions) {
    this.#connection = new Connection(name, options);
    this.name = name;
    this.title = this.#connection.title;
    this.control = new RancherControl(this.#connection, (registry) =>
      this.route(options.files, registry),
    );
    this.images = new RancherImages(this.#connection);
  }

  get main(): string {
    const { options } = this.#connection;
    return this.#connection.settings(options.files).registries;
  }

  get knownMain(): string {
    return this.main;
  }

  support(namespaces: readonly string[]): Promise<Support> {
    return Promise.resolve({ supported: namespaces, reason: undefined });
  }

  targets({ now }: Views, desired: DesiredState): Promise<Targets> {
    const targets = planTargets(now, this.#connection, desired);
    const stale = staleReason(this.#connection, this.main);
    return Promise.resolve(stale === undefined ? targets : { ...targets, stale });
  }

  inspect(view: FileView): Promise<Inspection> {
    return inspect(view, this.#connection, (registry) => this.route(view, registry));
  }

  unwired(path: string, current: FileState, wiring: Wiring): FileState | undefined {
    return path === this.main ? unwiredRegistries(path, current, wiring) : undefined;
  }

  async generated(
    view: FileView,
    { wired, desired }: Pick<Plan, "wired" | "desired">,
  ): Promise<Record<string, GeneratedFile>> {
    const found: Record<string, GeneratedFile> = {};
    // Without the registry as the last resort, nothing would be left to pull from.
    if (this.#connection.settings(view).isWithoutDefault) return found;
    for (const registry of wired) {
      const { file } = await this.route(view, registry);
      const state = file === undefined ? undefined : view.read(file);
      if (file === undefined || state === undefined) continue;
      let text = lossyText(state.bytes);
      for (const url of [desired.cache, `${desired.cache}/v2`])
        text = removeSubtree(text, ["host", url]);
      found[file] = { wired: state, withoutCache: withText(state, text) };
    }
    return found;
  }

  async route(view: FileView, namespace: string): Promise<Route> {
    const { hosts: traits } = traitsOf(await this.#connection.version());
    const directories = [this.#connection.certsDirectory(view)];
    const route = routeThroughDirectories(view, directories, namespace, traits, this.title);
    // It is generated with the path that containerd would add by itself.
    return { ...route, hosts: route.hosts.map((url) => url.replace(/\/v2\/?$/, "")) };
  }
}
