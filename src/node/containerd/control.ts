import type { Plan } from "../plan.ts";
import type { RuntimeControl, RuntimeService } from "../runtime.ts";
import { RuntimeFault } from "../runtime.ts";
import type { RestartMethod, UnitRestart } from "../service/unit-restart.ts";
import { restartMethod, runRestart } from "../service/unit-restart.ts";
import type { DumpedRegistry } from "./config/config-dump.ts";
import { readConfiguration } from "./config/configuration.ts";
import { type Connection, UNIT } from "./connection.ts";
import { CriFault } from "./cri/cri.ts";
import { traitsOf } from "./traits.ts";

/** Restarts containerd as a service, and checks over CRI whether it is ready. */
export class ContainerdControl implements RuntimeControl, RuntimeService {
  readonly service: RuntimeService = this;
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  restartMethod(): Promise<RestartMethod> {
    return restartMethod(this.#restart);
  }

  restart(): Promise<void> {
    return runRestart(this.#restart, () => this.#connection.daemon);
  }

  get #restart(): UnitRestart {
    const { restartCommand: command, files } = this.#connection.options;
    return { files, unit: UNIT, title: "containerd", command };
  }

  /** Calls CRI itself, because a daemon that is ready may have failed to load its CRI plugin. */
  async waitUntilReady(withinMs: number): Promise<string> {
    const deadline = Date.now() + withinMs;
    for (;;) {
      try {
        return await this.#connection.withCri(async (cri) => (await cri.version(2_000)).version);
      } catch (error) {
        if (!(error instanceof CriFault)) throw error;
        // A daemon that responds has tried to load all of its plugins: waiting changes nothing.
        const isFinal = error.kind === "cri-dead" && (await this.#hasFailedPlugin());
        if (isFinal || Date.now() >= deadline) {
          throw new RuntimeFault("dead", await this.#explain(error), { cause: error });
        }
      }
      await Bun.sleep(200);
    }
  }

  async requireInForce({ certsDir }: Pick<Plan, "certsDir">): Promise<void> {
    const { version } = await this.#connection.version();
    const info = await this.#connection.callCri("dead", (cri) => cri.info());
    const isReported = !traitsOf(version).imagesTable;
    // 2.x does not report config_path over CRI. The dump reads the files again, as the daemon did when it
    // was restarted just now.
    const inForce = isReported
      ? configPathOf(info["config"] ?? "{}")
      : (await this.#dump())?.configPath;
    if (inForce !== undefined) requireOnly(certsDir, inForce);
  }

  async proveFiles(certsDir: string): Promise<string | undefined> {
    const { program } = this.#connection;
    if (program === undefined) return undefined;
    const dumped = await this.#dump();
    if (dumped === undefined) {
      const what = `${program} --config ${this.#connection.main} config dump fails: containerd would not start`;
      throw new RuntimeFault("not-in-force", what);
    }
    requireOnly(certsDir, dumped.configPath);
    const [mirror] = dumped.mirrors.keys();
    if (mirror === undefined) return program;
    const what = `mirrors.${JSON.stringify(mirror)} is in force beside config_path, and CRI would not start`;
    throw new RuntimeFault("not-in-force", what);
  }

  async #dump(): Promise<DumpedRegistry | undefined> {
    const { options, main } = this.#connection;
    const { version } = await this.#connection.version();
    const configuration = readConfiguration(options.files, main, traitsOf(version));
    return this.#connection.dump(options.files, configuration);
  }

  /** Whether the daemon reports that its CRI plugin failed, as opposed to not being loaded yet. */
  async #hasFailedPlugin(): Promise<boolean> {
    return (await this.#pluginError()) !== undefined;
  }

  async #pluginError(): Promise<string | undefined> {
    try {
      const errors = await this.#connection.withCri((cri) => cri.pluginErrors());
      return [...errors].find(([id]) => /cri/.test(id))?.[1];
    } catch (error) {
      if (error instanceof CriFault) return undefined;
      throw error;
    }
  }

  /** The reason that containerd itself gives for a CRI plugin that did not load. */
  async #explain(error: CriFault): Promise<string> {
    if (error.kind !== "cri-dead") return error.message;
    const reason = await this.#pluginError();
    return `containerd runs, but its CRI does not respond${reason === undefined ? "" : `: ${reason}`}`;
  }
}

/** @throws RuntimeFault of kind `not-in-force` */
function requireOnly(certsDir: string, inForce: string): void {
  if (inForce === certsDir) return;
  const what = `containerd uses config_path = ${JSON.stringify(inForce)} instead of ${certsDir}`;
  throw new RuntimeFault("not-in-force", what);
}

function configPathOf(config: string): string | undefined {
  const parsed: unknown = JSON.parse(config);
  if (typeof parsed !== "object" || parsed === null || !("registry" in parsed)) return undefined;
  const { registry } = parsed;
  if (typeof registry !== "object" || registry === null || !("configPath" in registry)) return "";
  return String(registry.configPath);
}
