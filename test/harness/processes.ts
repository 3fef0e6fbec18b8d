import { constants } from "node:os";
import { existsSync, readFileSync } from "node:fs";
import { GivenUp, until } from "./waiting.ts";

export interface StartOptions {
  readonly name: string;
  readonly command: readonly string[];
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Asked again and again until it gives something true. */
  readonly ready: (started: ChildProcess) => unknown;
  /** How long it may take to be ready, in milliseconds. */
  readonly within?: number;
  /** Called with every line of either stream. */
  readonly onLine?: (line: string, stream: "stdout" | "stderr") => void;
}

const KEPT_LINES = 400;
const SETPRIV = "/usr/bin/setpriv";

/** A child process with its last output. It ends with the test: TERM, and KILL after a while. */
export class ChildProcess implements AsyncDisposable {
  readonly name: string;
  readonly #child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  readonly #lines: string[] = [];
  readonly #read: Promise<unknown>;

  constructor({ name, command, cwd, env, onLine }: StartOptions) {
    this.name = name;
    this.#child = Bun.spawn({
      cmd: [...tiedToUs(), ...command],
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      env: { ...process.env, ...env },
      ...(cwd === undefined ? {} : { cwd }),
    });
    const take = (line: string, stream: "stdout" | "stderr") => {
      this.#lines.push(line);
      if (this.#lines.length > KEPT_LINES) this.#lines.shift();
      onLine?.(line, stream);
    };
    this.#read = Promise.all([
      eachLine(this.#child.stdout, (line) => take(line, "stdout")),
      eachLine(this.#child.stderr, (line) => take(line, "stderr")),
    ]);
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** As a shell would give it, 128 and the signal's number where a signal ended it; undefined while it runs. */
  get exitCode(): number | undefined {
    const { exitCode, signalCode } = this.#child;
    if (signalCode !== null) {
      // Bun types it so that it could be a number, which it never is.
      return 128 + constants.signals[signalCode as NodeJS.Signals];
    }
    return exitCode ?? undefined;
  }

  /** The last lines of both streams. */
  output(): string {
    return this.#lines.join("\n");
  }

  /** Resolves once it has ended by itself or otherwise, and all its output was read. */
  async ended(): Promise<number> {
    await this.#child.exited;
    // A grandchild may hold the pipes open: its output is nobody's concern.
    await Promise.race([this.#read, Bun.sleep(1_000)]);
    return this.exitCode ?? 0;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Ends it, by force where it does not heed `signal` for `patience` ms. Returns its exit code. */
  async stop(signal: NodeJS.Signals = "SIGTERM", patience = 10_000): Promise<number> {
    if (this.exitCode === undefined) {
      this.signal(signal);
      const force = setTimeout(() => this.signal("SIGKILL"), patience);
      await this.#child.exited;
      clearTimeout(force);
    }
    return this.ended();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** Starts a program and waits until it is ready; its output is in the error where it never is. */
export async function startProcess(options: StartOptions): Promise<ChildProcess> {
  const child = new ChildProcess(options);
  try {
    await until(
      async () => {
        if (child.exitCode !== undefined) {
          await child.ended();
          throw new GivenUp(
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

export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end and returns what it wrote. */
export async function run(
  command: readonly string[],
  options: { cwd?: string; env?: Record<string, string> } = {},
): Promise<Finished> {
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

/** `run`, for where anything but success is a broken test. Returns stdout. */
export async function mustRun(
  command: readonly string[],
  options: { cwd?: string; env?: Record<string, string> } = {},
): Promise<string> {
  const { code, stdout, stderr } = await run(command, options);
  if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}:\n${stdout}${stderr}`);
  return stdout;
}

/** The most memory that a process has had resident so far, in bytes. */
export function peakMemory(pid: number): number {
  return statusField(pid, "VmHWM");
}

/** The memory that a process has resident now, in bytes. */
export function residentMemory(pid: number): number {
  return statusField(pid, "VmRSS");
}

function statusField(pid: number, field: string): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const kibibytes = new RegExp(`^${field}:\\s*(\\d+) kB`, "m").exec(status)?.[1];
  if (kibibytes === undefined) throw new Error(`/proc/${pid}/status has no ${field}`);
  return Number(kibibytes) * 1024;
}

/** A test run that is killed disposes of nothing: the kernel then ends its children. */
function tiedToUs(): string[] {
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
