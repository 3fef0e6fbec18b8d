import { constants } from "node:os";
import { existsSync, readFileSync } from "node:fs";
import { NeverTrueError, until } from "./waiting.ts";

export interface StartOptions {
  readonly name: string;
  readonly command: readonly string[];
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Polled until it returns something truthy. */
  readonly ready: (started: ChildProcess) => unknown;
  /** Milliseconds within which it has to be ready. */
  readonly within?: number;
  /** Called with every line of stdout and stderr. */
  readonly onLine?: (line: string, stream: "stdout" | "stderr") => void;
}

const MAX_LINES = 400;
const SETPRIV = "/usr/bin/setpriv";

/**
 * A child process with its last output. Disposal ends it with SIGTERM, then SIGKILL after a
 * timeout.
 */
export class ChildProcess implements AsyncDisposable {
  readonly name: string;
  readonly #child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  readonly #lines: string[] = [];
  readonly #read: Promise<unknown>;

  constructor({ name, command, cwd, env, onLine }: StartOptions) {
    this.name = name;
    this.#child = Bun.spawn({
      cmd: [...parentDeathSignal(), ...command],
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      env: { ...process.env, ...env },
      ...(cwd === undefined ? {} : { cwd }),
    });
    const addLine = (line: string, stream: "stdout" | "stderr") => {
      this.#lines.push(line);
      if (this.#lines.length > MAX_LINES) this.#lines.shift();
      onLine?.(line, stream);
    };
    this.#read = Promise.all([
      eachLine(this.#child.stdout, (line) => addLine(line, "stdout")),
      eachLine(this.#child.stderr, (line) => addLine(line, "stderr")),
    ]);
  }

  get pid(): number {
    return this.#child.pid;
  }

  /**
   * As in a shell: 128 plus the signal's number if a signal ended it; `undefined` while it runs.
   */
  get exitCode(): number | undefined {
    const { exitCode, signalCode } = this.#child;
    if (signalCode !== null) {
      // Bun's type allows a number, which it never is.
      return 128 + constants.signals[signalCode as NodeJS.Signals];
    }
    return exitCode ?? undefined;
  }

  /** The last lines of stdout and stderr. */
  output(): string {
    return this.#lines.join("\n");
  }

  /** Resolves with the exit code once the process has ended and its output is read. */
  async ended(): Promise<number> {
    await this.#child.exited;
    // A grandchild may hold the pipes open; its output is not needed.
    await Promise.race([this.#read, Bun.sleep(1_000)]);
    return this.exitCode ?? 0;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Sends `signal`, and SIGKILL after `timeout` ms. Resolves with the exit code. */
  async stop(signal: NodeJS.Signals = "SIGTERM", timeout = 10_000): Promise<number> {
    if (this.exitCode === undefined) {
      this.signal(signal);
      const forceKill = setTimeout(() => this.signal("SIGKILL"), timeout);
      await this.#child.exited;
      clearTimeout(forceKill);
    }
    return this.ended();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/**
 * Starts a program and waits until it is ready.
 * @throws Error with the program's output if it exits first or is not ready in time
 */
export async function startProcess(options: StartOptions): Promise<ChildProcess> {
  const child = new ChildProcess(options);
  try {
    await until(
      async () => {
        if (child.exitCode !== undefined) {
          await child.ended();
          throw new NeverTrueError(
            `${options.name} ended with ${child.exitCode} while starting:\n${child.output()}`,
          );
        }
        return (await options.ready(child)) ? true : undefined;
      },
      {
        what: `${options.name} to be ready`,
        detail: () => child.output(),
        ...(options.within === undefined ? {} : { within: options.within }),
      },
    );
    return child;
  } catch (error) {
    await child.stop("SIGKILL");
    throw error;
  }
}

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end and returns its exit code and output. */
export async function run(
  command: readonly string[],
  options: { cwd?: string; env?: Record<string, string> } = {},
): Promise<CommandResult> {
  const child = Bun.spawn({
    cmd: [...command],
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  const [stdout, stderr, code] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ]);
  return { code, stdout, stderr };
}

/**
 * Runs a program that has to succeed, and returns its stdout.
 * @throws Error with the output if the exit code is not 0
 */
export async function mustRun(
  command: readonly string[],
  options: { cwd?: string; env?: Record<string, string> } = {},
): Promise<string> {
  const { code, stdout, stderr } = await run(command, options);
  if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}:\n${stdout}${stderr}`);
  return stdout;
}

/** The peak resident memory of a process so far, in bytes. */
export function peakMemory(pid: number): number {
  return statusField(pid, "VmHWM");
}

/** The current resident memory of a process, in bytes. */
export function residentMemory(pid: number): number {
  return statusField(pid, "VmRSS");
}

function statusField(pid: number, field: string): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const kibibytes = new RegExp(`^${field}:\\s*(\\d+) kB`, "m").exec(status)?.[1];
  if (kibibytes === undefined) throw new Error(`/proc/${pid}/status has no ${field}`);
  return Number(kibibytes) * 1024;
}

/**
 * Has the kernel kill a child when this process dies: a test run that is killed disposes of
 * nothing.
 */
function parentDeathSignal(): string[] {
  return existsSync(SETPRIV) ? [SETPRIV, "--pdeathsig", "KILL", "--"] : [];
}

async function eachLine(
  stream: ReadableStream<Uint8Array>,
  take: (line: string) => void,
): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    lines.forEach(take);
  }
  if (rest !== "") take(rest);
}
