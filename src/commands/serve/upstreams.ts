import type { Upstream } from "../../cache/upstream.ts";
import type { UpstreamSettings } from "../../config/settings.ts";
import type { UpstreamName } from "../../oci/names.ts";
import { Registry } from "../../upstream/registry.ts";
import type { RegistryTransport } from "../../upstream/registry-transport.ts";

type AllSettings = ReadonlyMap<UpstreamName, UpstreamSettings>;

/** An upstream whose settings may change while requests to it are under way. */
class LiveUpstream implements Upstream {
  readonly registry: Registry;

  constructor(registry: Registry) {
    this.registry = registry;
  }

  get settings(): UpstreamSettings {
    return this.registry.settings;
  }
}

/** The upstreams that are configured now. */
export class Upstreams {
  readonly #transport: RegistryTransport;
  readonly #all = new Map<UpstreamName, LiveUpstream>();

  constructor(settings: AllSettings, transport: RegistryTransport) {
    this.#transport = transport;
    this.configure(settings);
  }

  /** One map for as long as it lives: who has it sees each change. */
  get all(): ReadonlyMap<UpstreamName, Upstream & { readonly registry: Registry }> {
    return this.#all;
  }

  configure(settings: AllSettings): void {
    for (const name of this.#all.keys()) {
      if (!settings.has(name)) this.#all.delete(name);
    }
    for (const [name, changed] of settings) {
      const known = this.#all.get(name);
      if (known) known.registry.configure(changed);
      else this.#all.set(name, new LiveUpstream(new Registry(changed, this.#transport)));
    }
  }
}
