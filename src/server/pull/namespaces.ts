import type { Upstream } from "../../cache/upstream.ts";
import { DOCKER_HUB, UPSTREAM_ALIASES } from "../../config/settings.ts";
import { Fault } from "../../oci/fault.ts";
import { looksLikeRegistry, parseUpstreamName, type UpstreamName } from "../../oci/names.ts";

/** The upstreams by the names under which requests may ask for them. Nothing else is ever dialled. */
export class Namespaces {
  readonly #upstreams: ReadonlyMap<string, Upstream>;

  constructor(upstreams: ReadonlyMap<UpstreamName, Upstream>) {
    this.#upstreams = upstreams;
  }

  get names(): string[] {
    return [...this.#upstreams.keys()];
  }

  /**
   * Chooses by `ns`, else by the port, else by the path's first component, else Docker Hub, for
   * whose mirrors Docker itself sends none of them.
   *
   * @param ns all values of the query's `ns`
   * @param path the name's components, of which a namespace is taken off
   */
  choose(
    ns: readonly string[],
    port: Upstream | undefined,
    path: readonly string[],
  ): { upstream: Upstream; path: readonly string[] } {
    if (ns.length > 1) {
      throw new Fault({ kind: "invalid-namespace", reason: "ns is given more than once" });
    }
    const [asked] = ns;
    if (asked !== undefined) return { upstream: this.#byQuery(asked), path };
    // By its name: it may have been taken out of the configuration, and put in again, meanwhile.
    if (port) return { upstream: this.#get(port.settings.name), path };
    const [first = ""] = path;
    const upstream = this.#find(first);
    if (upstream) return { upstream, path: path.slice(1) };
    // Sent to Docker Hub, a registry that is not cached would answer with another one's image.
    const isRegistry = looksLikeRegistry(first) && parseUpstreamName(first) !== undefined;
    return { upstream: this.#get(isRegistry ? first : DOCKER_HUB), path };
  }

  #byQuery(asked: string): Upstream {
    const name = parseUpstreamName(asked);
    if (name) return this.#get(name);
    const shown = JSON.stringify(asked.slice(0, 80));
    const reason = `ns=${shown} is no registry: a host with an optional port, such as ghcr.io`;
    throw new Fault({ kind: "invalid-namespace", reason });
  }

  #get(name: string): Upstream {
    const upstream = this.#find(name);
    if (upstream) return upstream;
    throw new Fault({ kind: "namespace-unknown", namespace: name, available: this.names });
  }

  #find(name: string): Upstream | undefined {
    return this.#upstreams.get(name) ?? this.#upstreams.get(UPSTREAM_ALIASES.get(name) ?? "");
  }
}
