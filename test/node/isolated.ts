import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { type ChildProcess, mustRun, startProcess } from "../harness/processes.ts";
import { type TempDir, tempDir } from "../harness/temp-dir.ts";
import { type ProgramResult, PROGRAM, entrepotNode } from "./program.ts";
import { tree } from "./tree.ts";

const ISOLATE = fileURLToPath(new URL("./isolated.sh", import.meta.url));

/** A daemon in namespaces of its own, with its own /etc, /run and /var/lib: all paths are the default ones. */
export class IsolatedNode implements AsyncDisposable {
  readonly #dir: TempDir;
  readonly #process: ChildProcess;
  /** The PID of the daemon, in the test's PID namespace. */
  readonly #init: number;

  constructor(dir: TempDir, process: ChildProcess, init: number) {
    this.#dir = dir;
    this.#process = process;
    this.#init = init;
  }

  /** The path by which the test reaches a path of the node. */
  inside(path: string): string {
    const [, top = "", ...rest] = path.split("/");
    const real = { etc: "etc", run: "run", var: "lib" }[top];
    if (real === undefined) throw new Error(`${path} is not a path of its own`);
    return this.#dir.file("real", real, ...(top === "var" ? rest.slice(1) : rest));
  }

  read(path: string): string | undefined {
    return existsSync(this.inside(path)) ? readFileSync(this.inside(path), "utf8") : undefined;
  }

  write(path: string, text: string): void {
    mkdirSync(dirname(this.inside(path)), { recursive: true });
    writeFileSync(this.inside(path), text);
  }

  remove(path: string): void {
    rmSync(this.inside(path), { recursive: true, force: true });
  }

  tree(path: string): Record<string, string> {
    return existsSync(this.inside(path)) ? tree(this.inside(path)) : {};
  }

  get enter(): string[] {
    return ["nsenter", "-t", String(this.#init), "-m", "-p", "--"];
  }

  run(...command: string[]): Promise<string> {
    return mustRun([...this.enter, ...command]);
  }

  entrepot(...args: string[]): Promise<ProgramResult> {
    return entrepotNode(args, { program: [...this.enter, PROGRAM] });
  }

  output(): string {
    return this.#process.output();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // unshare ignores SIGTERM. With it, all processes of its PID namespace are killed.
    await this.#process.stop("SIGKILL");
    await this.#dir[Symbol.asyncDispose]();
  }
}

export interface IsolatedOptions {
  readonly name: string;
  readonly command: (dir: TempDir) => readonly string[];
  /** Texts by their path below /etc. */
  readonly etc?: Readonly<Record<string, string>>;
  /** A folder into which packages are unpacked that shall be as good as installed. */
  readonly installed?: string;
  readonly ready: (node: IsolatedNode) => unknown;
}

export async function startIsolated(options: IsolatedOptions): Promise<IsolatedNode> {
  const dir = await tempDir("i");
  for (const [path, text] of Object.entries(options.etc ?? {})) {
    mkdirSync(dirname(dir.file("etc", path)), { recursive: true });
    writeFileSync(dir.file("etc", path), text);
  }
  let node: IsolatedNode | undefined;
  try {
    await startProcess({
      name: options.name,
      command: ["/bin/bash", ISOLATE, dir.path, ...options.command(dir)],
      within: 30_000,
      ...(options.installed === undefined ? {} : { env: { INSTALLED: options.installed } }),
      ready: (started) => {
        const init = Number(
          readFileSync(`/proc/${started.pid}/task/${started.pid}/children`, "utf8"),
        );
        node = new IsolatedNode(dir, started, init);
        return options.ready(node);
      },
    });
  } catch (error) {
    await dir[Symbol.asyncDispose]();
    throw error;
  }
  if (node === undefined) throw new Error(`${options.name} was never ready`);
  return node;
}
