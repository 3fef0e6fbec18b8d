import type { Upstream } from "../../cache/upstream.ts";
import { DOCKER_HUB, UPSTREAM_ALIASES, type UpstreamSettings } from "../../config/settings.ts";
import { Fault } from "../../oci/fault.ts";
import { looksLikeRegistry, parseUpstreamName, type UpstreamName } from "../../oci/names.ts";

/** The configured upstreams by namespace (the `ns` of containerd). No other host is ever contacted. */
export class Namespaces {
  readonly #upstreams: ReadonlyMap<string, Upstream>;

  constructor(upstreams: ReadonlyMap<UpstreamName, Upstream>) {
    this.#upstreams = upstreams;
  }

  /** All of them, wherever they are served. */
  get settings(): UpstreamSettings[] {
    return [...this.#upstreams.values()].map(({ settings }) => settings);
  }

  /**
   * The names of the upstreams that are served at a port.
   *
   * @param port the upstream of the port, if it belongs to one
   */
  namesAt(port: Upstream | undefined): UpstreamName[] {
    return this.servedAt(port).map(({ settings }) => settings.name);
  }

  /** @param port the upstream of the port, if it belongs to one */
  servedAt(port: Upstream | undefined): Upstream[] {
    return [...this.#upstreams.values()].filter(({ settings }) => isServedAt(settings, port));
  }

  /**
   * Chooses the upstream by `ns`, else by the port, else by the first component of the path. Without
   * any of these it is Docker Hub: Docker sends requests to mirrors of Docker Hub that way.
   *
   * @param ns all values of the query parameter `ns`
   * @param path the components of the requested name
   * @returns the upstream, and the components without the namespace
   * @throws Fault `invalid-namespace` or `namespace-unknown`
   */
  choose(
    ns: readonly string[],
    port: Upstream | undefined,
    path: readonly string[],
  ): { upstream: Upstream; path: readonly string[] } {
    if (ns.length > 1) {
      throw new Fault({
        kind: "invalid-namespace",
        reason: "ns is given more than once: send one",
      });
    }
    const [namespace] = ns;
    if (namespace !== undefined) return { upstream: this.#byQuery(namespace, port), path };
    // By name: a reload may have removed and added the upstream, which makes another object of it.
    if (port) return { upstream: this.#get(port.settings.name, port), path };
    const [first = ""] = path;
    const upstream = this.#find(first, port);
    if (upstream) return { upstream, path: path.slice(1) };
    // Otherwise a registry that is not cached would be taken for a repository of Docker Hub.
    const isRegistry = looksLikeRegistry(first) && parseUpstreamName(first) !== undefined;
    return { upstream: this.#get(isRegistry ? first : DOCKER_HUB, port), path };
  }

  #byQuery(namespace: string, port: Upstream | undefined): Upstream {
    const name = parseUpstreamName(namespace);
    if (name) return this.#get(name, port);
    const shown = JSON.stringify(namespace.slice(0, 80));
    const reason = `ns=${shown} is not a registry: send a host with an optional port, such as ghcr.io`;
    throw new Fault({ kind: "invalid-namespace", reason });
  }

  #get(name: string, port: Upstream | undefined): Upstream {
    const upstream = this.#find(name, port);
    if (upstream) return upstream;
    throw new Fault({
      kind: "namespace-unknown",
      namespace: name,
      available: this.namesAt(port),
      isElsewhere: this.#named(name) !== undefined,
    });
  }

  #find(name: string, port: Upstream | undefined): Upstream | undefined {
    const upstream = this.#named(name);
    return upstream && isServedAt(upstream.settings, port) ? upstream : undefined;
  }

  #named(name: string): Upstream | undefined {
    return this.#upstreams.get(name) ?? this.#upstreams.get(UPSTREAM_ALIASES.get(name) ?? "");
  }
}

/** An upstream with an address of its own is served there only, and nothing else is served there. */
function isServedAt({ name, listen }: UpstreamSettings, port: Upstream | undefined): boolean {
  return name === port?.settings.name || (!listen && !port?.settings.listen);
}
