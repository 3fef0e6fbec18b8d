import type { Obstacle } from "../plan.ts";
import type { RuntimeControl } from "../runtime.ts";
import { RuntimeFault } from "../runtime.ts";
import { isBooted, loadedKillMode, readUnit, sparesContainers } from "../systemd.ts";
import type { Connection } from "./connection.ts";
import { CriFault } from "./cri/cri.ts";
import type { Daemon } from "./daemon.ts";
import { dumpedConfigPath } from "./config/config-dump.ts";
import { traitsOf } from "./traits.ts";

export const UNIT = "containerd.service";
const RESTART_MS = 120_000;
const ANOTHER_MS = 60_000;

/** containerd as a service, with CRI's word for whether it lives. */
export class ContainerdControl implements RuntimeControl {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  restartMethod(): { way: string; obstacles: readonly Obstacle[] } {
    const { restartCommand, files } = this.#connection.options;
    if (restartCommand !== undefined) return { way: restartCommand, obstacles: [] };
    const unit = readUnit(files, UNIT);
    const way = `systemctl restart ${UNIT}`;
    if (!isBooted(files) || unit === undefined) {
      const what = `containerd has to be restarted, and no ${UNIT} of a running systemd is here to do it with`;
      const advice = "say how: --restart-command 'COMMAND'";
      return { way, obstacles: [{ code: "no-restart-way", what, advice }] };
    }
    const killMode = loadedKillMode(UNIT);
    if (sparesContainers(unit) && killMode !== undefined && !sparesContainers({ killMode })) {
      const what = `containerd has to be restarted, and systemd still goes by KillMode=${killMode} of ${UNIT}, which would end every container with it`;
      const advice = "systemctl daemon-reload, so that it reads the unit's files, and apply again";
      const at = unit.killModeAt ?? { file: unit.file };
      return { way, obstacles: [{ code: "unit-not-reloaded", at, what, advice }] };
    }
    if (sparesContainers(unit)) return { way, obstacles: [] };
    const what = `containerd has to be restarted, and KillMode=${unit.killMode} of ${UNIT} would end every container with it`;
    const advice =
      "put KillMode=process into a drop-in of the unit, systemctl daemon-reload, and apply again";
    const at = unit.killModeAt ?? { file: unit.file };
    return { way, obstacles: [{ code: "restart-ends-containers", at, what, advice }] };
  }

  async restart(): Promise<void> {
    const { way } = this.restartMethod();
    const former = this.#connection.daemon;
    const child = Bun.spawn(["/bin/sh", "-c", way], {
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
      timeout: RESTART_MS,
    });
    const said = new Response(child.stderr).text();
    const code = await child.exited;
    if (code === 0) return former && this.#another(former, way);
    // Not awaited without a bound: a daemon that the command left behind may hold the pipe open.
    const text = await Promise.race([said, Bun.sleep(500).then(() => "")]);
    throw new RuntimeFault(
      "restart-failed",
      `${way} ended with ${code}: ${text.trim().slice(-500)}`,
    );
  }

  /** A command may only ask for a restart: until it comes, the former process answers as if it were done. */
  async #another(former: Daemon, way: string): Promise<void> {
    const deadline = Date.now() + ANOTHER_MS;
    const isFormer = (): boolean => {
      const { daemon } = this.#connection;
      return daemon?.pid === former.pid && daemon.startedAt === former.startedAt;
    };
    while (isFormer()) {
      if (Date.now() >= deadline) {
        const what = `${way} ended well, and containerd is the same process as before (${former.pid})`;
        throw new RuntimeFault("restart-failed", what);
      }
      await Bun.sleep(200);
    }
  }

  /** The daemon's own readiness says nothing of its plugins: CRI itself is asked. */
  async waitUntilReady(withinMs: number): Promise<string> {
    const deadline = Date.now() + withinMs;
    for (;;) {
      try {
        return await this.#connection.withCri(async (cri) => (await cri.version(2_000)).version);
      } catch (error) {
        if (!(error instanceof CriFault)) throw error;
        // The plugins of a daemon that answers have all been tried: waiting changes nothing.
        const isFinal = error.kind === "cri-dead" && (await this.#isSettled());
        if (isFinal || Date.now() >= deadline) {
          throw new RuntimeFault("dead", await this.#whyDead(error), { cause: error });
        }
      }
      await Bun.sleep(200);
    }
  }

  async requireCertsDir(certsDir: string): Promise<void> {
    const { version } = await this.#connection.version();
    const info = await this.#connection.ask("dead", (cri) => cri.info());
    const isTold = !traitsOf(version).imagesTable;
    // 2.x tells it nowhere over CRI. The dump reads the files anew, as the daemon did just now when it
    // was restarted.
    const { daemon, main } = this.#connection;
    const seen = isTold ? configPathOf(info["config"] ?? "{}") : dumpedConfigPath(daemon, main);
    if (seen === undefined || seen === certsDir) return;
    const what = `containerd goes by config_path = ${JSON.stringify(seen)} and not by ${certsDir}`;
    throw new RuntimeFault("not-in-force", what);
  }

  /** Whether the daemon says of its CRI plugin that it failed, rather than that it is not up yet. */
  async #isSettled(): Promise<boolean> {
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

  /** containerd's own words on why its CRI plugin did not start. */
  async #whyDead(error: CriFault): Promise<string> {
    if (error.kind !== "cri-dead") return error.message;
    const reason = await this.#pluginError();
    return `containerd runs and its CRI does not answer${reason === undefined ? "" : `: ${reason}`}`;
  }
}

function configPathOf(config: string): string | undefined {
  const parsed: unknown = JSON.parse(config);
  if (typeof parsed !== "object" || parsed === null || !("registry" in parsed)) return undefined;
  const { registry } = parsed;
  if (typeof registry !== "object" || registry === null || !("configPath" in registry)) return "";
  return String(registry.configPath);
}
