import type { RuntimeControl } from "../runtime.ts";
import { RuntimeFault } from "../runtime.ts";
import { wouldBeSeen } from "../service/daemon.ts";
import { reloadMounted } from "../service/mounted-unit.ts";
import { type Connection, UNIT } from "./connection.ts";
import type { DaemonJson } from "./daemon-json.ts";
import { INSECURE, MIRRORS, readDaemonJson } from "./daemon-json.ts";
import type { EngineInfo } from "./engine.ts";
import { EngineFault } from "./engine.ts";

const RELOADED_MS = 10_000;

/** Has dockerd reload its daemon.json. Mirrors never need a restart. */
export class DockerControl implements RuntimeControl {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  async waitUntilReady(withinMs: number): Promise<string> {
    const deadline = Date.now() + withinMs;
    for (;;) {
      try {
        return (await this.#connection.engine.info(2_000)).version;
      } catch (error) {
        if (!(error instanceof EngineFault)) throw error;
        if (Date.now() >= deadline) throw new RuntimeFault("dead", error.message, { cause: error });
      }
      await Bun.sleep(200);
    }
  }

  /**
   * Sends SIGHUP, as `systemctl reload docker` does, unless dockerd has already what the file says. The
   * signal is not answered: an invalid file is only told in dockerd's log.
   */
  async reload(): Promise<void> {
    const { daemon, main, options, flags } = this.#connection;
    const isHidden = daemon === undefined && !wouldBeSeen(options.files);
    if (daemon === undefined && (!isHidden || !(await this.#isRunning()))) return;
    const file = readDaemonJson(options.files, main, flags);
    if ("defects" in file) {
      const [defect] = file.defects;
      throw new RuntimeFault("reload-failed", `dockerd cannot load ${main}: ${defect?.what}`);
    }
    if (differences(file, await this.#info()).length === 0) return;
    if (daemon) process.kill(daemon.pid, "SIGHUP");
    else await reloadMounted(options.files, UNIT, "Docker");
    const deadline = Date.now() + RELOADED_MS;
    for (;;) {
      const remaining = differences(file, await this.#info());
      if (remaining.length === 0) return;
      if (Date.now() >= deadline) {
        const what = `dockerd was told to reload ${main}, but has not taken over ${remaining.join(" and ")}: its log says why (journalctl -u docker)`;
        throw new RuntimeFault("reload-failed", what);
      }
      await Bun.sleep(100);
    }
  }

  async #isRunning(): Promise<boolean> {
    try {
      await this.#connection.engine.info();
      return true;
    } catch (error) {
      if (error instanceof EngineFault && error.kind === "absent") return false;
      throw error;
    }
  }

  #info(): Promise<EngineInfo> {
    return this.#connection.call("reload-failed", (engine) => engine.info());
  }
}

/**
 * The keys of daemon.json whose values are not in force. A key that is absent is none of them: dockerd
 * keeps what it had when a key is gone.
 */
export function differences(file: DaemonJson, info: EngineInfo): string[] {
  const found: string[] = [];
  const { document, mirrors, insecure } = file;
  if (document.has(MIRRORS) && mirrors.join("\n") !== info.mirrors.join("\n")) found.push(MIRRORS);
  const lists = [insecure, info.insecure].map((list) => list.toSorted().join("\n"));
  if (document.has(INSECURE) && lists[0] !== lists[1]) found.push(INSECURE);
  return found;
}
