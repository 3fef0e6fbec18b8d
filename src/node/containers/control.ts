import type { RuntimeControl } from "../runtime.ts";
import { RuntimeFault } from "../runtime.ts";
import { wouldBeSeen } from "../service/daemon.ts";
import { reloadMounted } from "../service/mounted-unit.ts";
import type { Connection } from "./connection.ts";

const CRIO_UNIT = "crio.service";
/** What CRI-O is given to load its files, which takes it a few milliseconds. */
const RELOAD_MS = 1_000;

/** Podman: every command reads the files, so that nothing has to be told of a change. */
export class PodmanControl implements RuntimeControl {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  async waitUntilReady(): Promise<string> {
    return (await this.#connection.podman("dead", ["--version"])).trim();
  }
}

/** CRI-O: it loads the files again on SIGHUP, as `systemctl reload crio` sends it. */
export class CrioControl implements RuntimeControl {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  async waitUntilReady(withinMs: number): Promise<string> {
    const deadline = Date.now() + withinMs;
    for (;;) {
      try {
        return (await this.#connection.callCri("dead", (cri) => cri.version(2_000))).version;
      } catch (error) {
        if (!(error instanceof RuntimeFault) || Date.now() >= deadline) throw error;
      }
      await Bun.sleep(200);
    }
  }

  async reload(): Promise<void> {
    const { daemon, options, title } = this.#connection;
    if (daemon) process.kill(daemon.pid, "SIGHUP");
    else if (wouldBeSeen(options.files)) return;
    else await reloadMounted(options.files, CRIO_UNIT, title);
    // The signal is not answered, and nothing that can be asked shows what was loaded.
    await Bun.sleep(RELOAD_MS);
  }
}
