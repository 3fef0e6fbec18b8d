import { type ChildProcess, startProcess } from "../processes.ts";

const STRACE = "/usr/bin/strace";

/** What happens to system calls, by strace's `inject=` (strace(1), "Tampering"). */
export interface SystemFault {
  /** Names of system calls, such as `fsync`. */
  readonly calls: readonly string[];
  /** Only calls about these files; all by default. */
  readonly paths?: readonly string[];
  /** They fail with this error code, such as `EIO`. */
  readonly error?: string;
  /** They begin this many milliseconds later. */
  readonly delay?: number;
  /** Which calls of each thread, as in `when=` of strace: `2+` from the second on; all by default. */
  readonly when?: string;
}

/** Calls that read a file's bytes, whichever of them Bun chooses. */
export const READS = ["read", "pread64", "readv", "preadv", "sendfile", "copy_file_range"];
export const SYNCS = ["fsync", "fdatasync"];
export const WRITES = ["write", "pwrite64", "writev", "pwritev"];
/** `?`: not every architecture has it. */
export const OPENS = ["?open", "openat"];
export const RENAMES = ["?rename", "renameat", "renameat2"];
export const MAKES = ["?mkdir", "mkdirat"];
export const REMOVALS = ["?unlink", "unlinkat"];
export const STATS = ["?stat", "?lstat", "fstat", "?newfstatat", "statx"];

/** A command line that runs a program with a fault from its start. */
export function withSystemFault(fault: SystemFault, command: readonly string[]): string[] {
  return [STRACE, "-f", "-qq", "-o", "/dev/null", ...faultArgs(fault), ...command];
}

/** Faults that are injected into a process, until disposal: strace detaches, and the process goes on. */
class InjectedFaults implements AsyncDisposable {
  constructor(readonly strace: ChildProcess) {}

  /**
   * Ends the process as `kill -9` does, while its calls are delayed: a call that strace holds back neither happens, nor
   * keeps the process from ending.
   */
  async kill(program: Pick<ChildProcess, "signal" | "stop">): Promise<void> {
    program.signal("SIGKILL");
    await this.strace.stop("SIGKILL");
    await program.stop("SIGKILL");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.strace.stop();
  }
}

/** Injects faults into a running process. Each is injected for the paths of all. */
export async function injectSystemFault(
  pid: number,
  ...faults: SystemFault[]
): Promise<InjectedFaults> {
  let isAttached = false;
  const command = [STRACE, "-f", "-o", "/dev/null", ...faultArgs(...faults), "-p", String(pid)];
  const strace = await startProcess({
    name: "strace",
    command,
    onLine: (line) => {
      isAttached ||= line.includes("attached");
    },
    ready: () => isAttached,
  });
  return new InjectedFaults(strace);
}

function faultArgs(...faults: SystemFault[]): string[] {
  const paths = new Set(faults.flatMap(({ paths: own = [] }) => own));
  const calls = faults.flatMap((fault) => fault.calls);
  const injections = faults.flatMap((fault) => ["-e", injectionOf(fault)]);
  return [
    ...[...paths].flatMap((path) => ["-P", path]),
    "-e",
    `trace=${calls.join(",")}`,
    ...injections,
  ];
}

function injectionOf({ calls, error, delay, when }: SystemFault): string {
  const actions = [
    ...(error === undefined ? [] : [`error=${error}`]),
    ...(delay === undefined ? [] : [`delay_enter=${delay}ms`]),
    ...(when === undefined ? [] : [`when=${when}`]),
  ];
  return `inject=${calls.join(",")}:${actions.join(":")}`;
}
