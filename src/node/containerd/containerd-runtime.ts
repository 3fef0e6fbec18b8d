import { spawnSync } from "node:child_process";
import type { FileView, NodeFiles } from "../node-files.ts";
import { readText } from "../node-files.ts";
import type { Obstacle, Wish } from "../plan.ts";
import type { Inspection, NodeImage, Runtime, Targets, Views } from "../runtime.ts";
import { RuntimeFault } from "../runtime.ts";
import { isBooted, readUnit, sparesContainers } from "../systemd.ts";
import { whoManages } from "../who-manages.ts";
import { Cri, CriFault } from "./cri.ts";
import type { Daemon } from "./daemon.ts";
import { configOption, findDaemon } from "./daemon.ts";
import { inspect } from "./inspect.ts";
import { planTargets } from "./planner.ts";
import type { ContainerdVersion } from "./version.ts";
import { parseContainerdVersion, traitsOf } from "./version.ts";

export const DEFAULT_SOCKET = "/run/containerd/containerd.sock";
const DEFAULT_CONFIG = "/etc/containerd/config.toml";
const UNIT = "containerd.service";
const RESTART_MS = 120_000;

export interface ContainerdOptions {
  readonly files: NodeFiles;
  readonly socket?: string;
  readonly config?: string;
  /** What the version is, where nothing that runs can tell it. */
  readonly version?: string;
  /** A shell command in place of `systemctl restart containerd`. */
  readonly restartCommand?: string;
  /** Works on the files of another root: no socket is opened, nothing is run. */
  readonly filesOnly: boolean;
}

/** containerd as a node's runtime, asked over CRI as the kubelet does. */
export class ContainerdRuntime implements Runtime {
  readonly main: string;
  readonly #options: ContainerdOptions;
  readonly #socket: string;
  readonly #daemon: Daemon | undefined;

  constructor(options: ContainerdOptions) {
    this.#options = options;
    this.#socket = options.socket ?? DEFAULT_SOCKET;
    this.#daemon = options.filesOnly ? undefined : findDaemon(this.#socket);
    const own = this.#daemon && configOption(this.#daemon.command);
    this.main = options.config ?? own ?? DEFAULT_CONFIG;
  }

  async targets(views: Views, wish: Wish): Promise<Targets> {
    const { version } = await this.#version();
    const manager = whoManages(views.now, this.main);
    return planTargets({ views, version, main: this.main, wish, manager });
  }

  async inspect(view: FileView): Promise<Inspection> {
    const { version, source } = await this.#version();
    const { filesOnly, files } = this.#options;
    return this.#withCri((cri) =>
      inspect({
        view,
        version,
        versionSource: source,
        main: this.main,
        socket: this.#socket,
        daemon: this.#daemon,
        modifiedAt: (path) => files.modifiedAt(path),
        cri: filesOnly ? undefined : cri,
        unit: readUnit(view, UNIT),
        manager: whoManages(view, this.main),
      }),
    );
  }

  restartWay(): Promise<{ way: string; obstacles: readonly Obstacle[] }> {
    const { restartCommand, files } = this.#options;
    if (restartCommand !== undefined) return Promise.resolve({ way: restartCommand, obstacles: [] });
    const unit = readUnit(files, UNIT);
    const way = `systemctl restart ${UNIT}`;
    if (!isBooted(files) || unit === undefined) {
      const what = `containerd has to be restarted, and no ${UNIT} of a running systemd is here to do it with`;
      const advice = "say how: --restart-command 'COMMAND'";
      return Promise.resolve({ way, obstacles: [{ code: "no-restart-way", what, advice }] });
    }
    if (sparesContainers(unit)) return Promise.resolve({ way, obstacles: [] });
    const what = `containerd has to be restarted, and KillMode=${unit.killMode} of ${UNIT} would end every container with it`;
    const advice = "put KillMode=process into a drop-in of the unit, systemctl daemon-reload, and apply again";
    const at = unit.killModeAt ?? { file: unit.file };
    return Promise.resolve({ way, obstacles: [{ code: "restart-ends-containers", at, what, advice }] });
  }

  async restart(): Promise<void> {
    const { way } = await this.restartWay();
    const child = Bun.spawn(["/bin/sh", "-c", way], {
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
      timeout: RESTART_MS,
    });
    const [code, said] = await Promise.all([child.exited, new Response(child.stderr).text()]);
    if (code !== 0) {
      throw new RuntimeFault("restart-failed", `${way} ended with ${code}: ${said.trim().slice(-500)}`);
    }
  }

  /** Waits for CRI: the daemon's own readiness says nothing of its plugins. */
  async alive(withinMs: number): Promise<string> {
    const deadline = Date.now() + withinMs;
    for (;;) {
      try {
        return await this.#withCri(async (cri) => (await cri.version(2_000)).version);
      } catch (error) {
        if (!(error instanceof CriFault)) throw error;
        if (Date.now() >= deadline) {
          throw new RuntimeFault("dead", await this.#whyDead(error), { cause: error });
        }
      }
      await Bun.sleep(200);
    }
  }

  async requireInForce(certsDir: string): Promise<void> {
    const { version } = await this.#version();
    const info = await this.#withCri((cri) => cri.info());
    const seen = traitsOf(version).imagesTable ? this.#dumped() : configPathOf(info["config"] ?? "{}");
    if (seen === undefined || seen === certsDir) return;
    const what = `containerd goes by config_path = ${JSON.stringify(seen)} and not by ${certsDir}`;
    throw new RuntimeFault("not-in-force", what);
  }

  images(): Promise<readonly NodeImage[]> {
    return this.#withCri((cri) => cri.images());
  }

  async pull(reference: string, timeoutMs: number): Promise<void> {
    try {
      await this.#withCri((cri) => cri.pull(reference, timeoutMs));
    } catch (error) {
      if (!(error instanceof CriFault)) throw error;
      throw new RuntimeFault("pull-failed", error.message, { cause: error });
    }
  }

  remove(reference: string): Promise<void> {
    return this.#withCri((cri) => cri.remove(reference));
  }

  async #withCri<T>(use: (cri: Cri) => Promise<T>): Promise<T> {
    const cri = new Cri(this.#socket);
    try {
      return await use(cri);
    } finally {
      cri.close();
    }
  }

  /** containerd's own words on why its CRI plugin did not start. */
  async #whyDead(error: CriFault): Promise<string> {
    if (error.kind !== "cri-dead") return error.message;
    const errors = await this.#withCri((cri) => cri.pluginErrors()).catch(() => new Map<string, string>());
    const reason = [...errors].find(([id]) => /cri/.test(id))?.[1];
    return `containerd runs and its CRI does not answer${reason === undefined ? "" : `: ${reason}`}`;
  }

  /**
   * 2.x tells config_path nowhere over CRI. The dump reads the files anew, as the daemon did when it
   * was restarted just now; it would not show a conflict, but CRI has answered by then.
   */
  #dumped(): string | undefined {
    const daemon = findDaemon(this.#socket);
    if (daemon === undefined) return undefined;
    const command = ["--config", this.main, "config", "dump"];
    const { status, stdout } = spawnSync(daemon.executable, command, { encoding: "utf8" });
    if (status !== 0) return undefined;
    const section = /\[plugins\.["']io\.containerd\.cri\.v1\.images["']\.registry\]([^[]*)/.exec(stdout);
    return /config_path = ['"](.*?)['"]/.exec(section?.[1] ?? "")?.[1];
  }

  async #version(): Promise<{ version: ContainerdVersion; source: string }> {
    for await (const [source, text] of this.#versionSources()) {
      const version = text === undefined ? undefined : parseContainerdVersion(text);
      if (version) return { version, source };
    }
    const advice = "say which with --containerd-version, or where it listens with --socket";
    throw new RuntimeFault("unknown", `no containerd was found: nothing tells its version; ${advice}`);
  }

  async *#versionSources(): AsyncGenerator<[source: string, text: string | undefined]> {
    const { version, filesOnly, files } = this.#options;
    yield ["--containerd-version", version];
    if (!filesOnly) {
      yield [this.#socket, await this.#withCri((cri) => cri.daemonVersion(2_000)).catch(() => undefined)];
      const executable = this.#daemon?.executable ?? "containerd";
      const { stdout } = spawnSync(executable, ["--version"], { encoding: "utf8" });
      yield [`${executable} --version`, stdout || undefined];
    }
    const status = readText(files, "/var/lib/dpkg/status") ?? "";
    const dpkg = /^Package: containerd(?:\.io)?\n(?:.+\n)*?Version: (?:\d+:)?(\S+)/m.exec(status)?.[1];
    yield ["/var/lib/dpkg/status", dpkg];
  }
}

function configPathOf(config: string): string | undefined {
  const parsed: unknown = JSON.parse(config);
  if (typeof parsed !== "object" || parsed === null || !("registry" in parsed)) return undefined;
  const { registry } = parsed;
  if (typeof registry !== "object" || registry === null || !("configPath" in registry)) return "";
  return String(registry.configPath);
}
