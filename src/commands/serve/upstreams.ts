import type { Upstream } from "../../cache/upstream.ts";
import { hasMode } from "../../config/access/access-settings.ts";
import type { UpstreamSettings } from "../../config/settings.ts";
import type { UpstreamName } from "../../oci/names.ts";
import type { Outages } from "../../upstream/outages.ts";
import { Registry } from "../../upstream/registry.ts";
import type { RegistryTransport } from "../../upstream/registry-transport.ts";

type AllSettings = ReadonlyMap<UpstreamName, UpstreamSettings>;

/** An upstream whose settings may change while requests to it are in progress. */
class LiveUpstream implements Upstream {
  readonly registry: Registry;

  constructor(registry: Registry) {
    this.registry = registry;
  }

  get settings(): UpstreamSettings {
    return this.registry.settings;
  }
}

/** The configured upstreams. */
export class Upstreams {
  readonly #transport: RegistryTransport;
  readonly #all = new Map<UpstreamName, LiveUpstream>();

  constructor(
    settings: AllSettings,
    transport: RegistryTransport,
    /** Those that count as dead: the transport asks it. */
    readonly outages: Outages,
  ) {
    this.#transport = transport;
    this.configure(settings);
  }

  /** Always the same map, which `configure` changes in place. */
  get all(): ReadonlyMap<UpstreamName, Upstream & { readonly registry: Registry }> {
    return this.#all;
  }

  /** Whether some may see a part of an upstream alone. */
  readonly isDivided = (name: UpstreamName): boolean =>
    hasMode(this.#all.get(name)?.settings.access, "upstream", "clients", "denied");

  /** Adds, changes and removes upstreams. Requests in progress continue. */
  configure(settings: AllSettings): void {
    for (const name of this.#all.keys()) {
      if (!settings.has(name)) this.#all.delete(name);
    }
    for (const [name, changed] of settings) {
      const existing = this.#all.get(name);
      if (existing) existing.registry.configure(changed);
      else this.#all.set(name, new LiveUpstream(new Registry(changed, this.#transport)));
    }
  }
}
