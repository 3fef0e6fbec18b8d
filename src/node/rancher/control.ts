import type { Plan } from "../plan.ts";
import type { Route, RuntimeControl, RuntimeService } from "../runtime.ts";
import { RuntimeFault } from "../runtime.ts";
import { activeUnit } from "../service/mounted-unit.ts";
import type { RestartMethod, UnitRestart } from "../service/unit-restart.ts";
import { restartMethod, runRestart } from "../service/unit-restart.ts";
import type { Connection } from "./connection.ts";

/** Restarts k3s or RKE2, which generates the files of its containerd from registries.yaml. */
export class RancherControl implements RuntimeControl, RuntimeService {
  readonly service: RuntimeService = this;
  readonly #connection: Connection;
  readonly #route: (registry: string) => Promise<Route>;

  /** @param route by the files that were generated for the containerd inside */
  constructor(connection: Connection, route: (registry: string) => Promise<Route>) {
    this.#connection = connection;
    this.#route = route;
  }

  async restartMethod(): Promise<RestartMethod> {
    return restartMethod(await this.#restart());
  }

  async restart(): Promise<void> {
    return runRestart(await this.#restart(), () => this.#connection.daemon);
  }

  async #restart(): Promise<UnitRestart> {
    const { title, units, unit, options } = this.#connection;
    const { files, restartCommand: command } = options;
    // RKE2 installs the units of servers and of agents on every node: what runs decides.
    const running = command === undefined ? await activeUnit(files, units) : undefined;
    return { files, unit: running ?? unit, title, command };
  }

  async waitUntilReady(withinMs: number): Promise<string> {
    const deadline = Date.now() + withinMs;
    for (;;) {
      try {
        const cri = this.#connection.containerd;
        return await cri.callCri("dead", async (it) => (await it.version(2_000)).version);
      } catch (error) {
        if (!(error instanceof RuntimeFault) || Date.now() >= deadline) throw error;
      }
      await Bun.sleep(200);
    }
  }

  async requireInForce({ wired, desired }: Pick<Plan, "wired" | "desired">): Promise<void> {
    for (const registry of wired) {
      const { file, hosts, problems } = await this.#route(registry);
      if (hosts[0] === desired.cache && problems.length === 0) continue;
      const { title } = this.#connection;
      const found = file === undefined ? "no hosts.toml" : `another ${file}`;
      const what = `${title} has generated ${found} for ${registry}: is it started with another --private-registry?`;
      throw new RuntimeFault("not-in-force", what);
    }
  }
}
