import { afterAll } from "bun:test";
import { freePort } from "../free-port.ts";
import { type ScriptedUpstream, startScriptedUpstream } from "../registries/scripted-upstream.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./entrepot.ts";

export interface RegistryWithPort {
  readonly cache: Entrepot;
  readonly name: string;
  readonly upstream: ScriptedUpstream;
}

/**
 * Registries with a port of their own in one cache, of which each test takes one: a running cache takes no further port
 * (see `SharedCache` for other upstreams).
 *
 * To be made where `afterAll` may be called.
 */
export class RegistriesWithPorts {
  readonly #count: number;
  readonly #started = new AsyncDisposableStack();
  #unused: Promise<RegistryWithPort[]> | undefined;

  constructor(count: number) {
    this.#count = count;
    afterAll(() => this.#started.disposeAsync());
  }

  /** A registry that no other test has. */
  async take(): Promise<RegistryWithPort> {
    this.#unused ??= this.#start();
    const taken = (await this.#unused).pop();
    if (!taken) throw new Error(`more than ${this.#count} tests take a registry: raise the count`);
    return taken;
  }

  async #start(): Promise<RegistryWithPort[]> {
    // Any two that are asked for may be the same.
    const ports = new Set<number>();
    while (ports.size < this.#count) ports.add(freePort());
    const registries = await Promise.all(
      [...ports].map(async (port, index) => {
        return { name: `reg${index + 1}.test`, port, upstream: await startScriptedUpstream() };
      }),
    );
    for (const { upstream } of registries) this.#started.use(upstream);
    const upstreams = registries.map(({ name, port, upstream }) => {
      return [name, { ...localUpstream(upstream.url), port }];
    });
    const config = { upstreams: Object.fromEntries(upstreams) };
    const cache = this.#started.use(await startEntrepot({ config }));
    return registries.map(({ name, upstream }) => ({ cache, name, upstream }));
  }
}
