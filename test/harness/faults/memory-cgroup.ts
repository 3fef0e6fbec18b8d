import { accessSync, constants, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "bun:test";
import { until } from "../waiting.ts";

/** Where control groups of version 1 limit memory. */
const ROOT = "/sys/fs/cgroup/memory";

/** Why no process can be limited here; `undefined` if it can. */
function unavailableReason(): string | undefined {
  try {
    accessSync(join(ROOT, "memory.limit_in_bytes"), constants.R_OK);
    const probe = join(ROOT, `entrepot-probe-${process.pid}`);
    mkdirSync(probe);
    rmdirSync(probe);
    return undefined;
  } catch {
    return "no writable memory control group of version 1";
  }
}

const reason = unavailableReason();

/** A test that limits a process's memory; skipped, with the reason, where that is not possible. */
export function memoryLimitTest(name: string, run: () => Promise<void>, timeout: number): void {
  if (reason === undefined) test(name, run, timeout);
  else test.skip(`${name} [${reason}]`, run, timeout);
}

/** A control group that limits the memory of what is started in it. */
export class MemoryCgroup implements AsyncDisposable {
  static #count = 0;
  readonly #path: string;

  /** @param limit in bytes */
  constructor(limit: number) {
    MemoryCgroup.#count += 1;
    this.#path = join(ROOT, `entrepot-test-${process.pid}-${MemoryCgroup.#count}`);
    mkdirSync(this.#path);
    writeFileSync(join(this.#path, "memory.limit_in_bytes"), String(limit));
  }

  /** A command that moves itself into this group and becomes the given one. */
  command(...program: readonly string[]): readonly string[] {
    const script = `echo $$ > '${this.#path}/cgroup.procs' && exec "$@"`;
    return ["sh", "-c", script, "sh", ...program];
  }

  /** How often the kernel has killed a process of this group since it was made. */
  get kills(): number {
    const control = readFileSync(join(this.#path, "memory.oom_control"), "utf8");
    return Number(/^oom_kill (\d+)$/m.exec(control)?.[1]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const remove = (): boolean => {
      rmdirSync(this.#path);
      return true;
    };
    await until(remove, { what: "the control group to be empty" });
  }
}
