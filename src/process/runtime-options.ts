import { memoryLimit } from "./memory-limit.ts";
import { memoryPlan } from "./memory-plan.ts";
import { processRoom } from "./process-limit.ts";
import { replaceProgram } from "./replace-program.ts";

/**
 * Threads for file I/O. Bun starts as many as there are processors, so on a small machine a few slow
 * syncs would hold up every other file. An idle thread costs next to nothing.
 */
const IO_THREADS = 32;

/** What the runtime has besides these threads, on any machine. */
const OTHER_THREADS = 20;
/** With fewer threads for file I/O, a slow sync holds up every hit. */
const MIN_IO_THREADS = 4;

/**
 * Environment variables that Bun reads only as it starts.
 *
 * @param memory bytes that this process may use
 * @param threads how many it may start
 */
export function runtimeOptions(
  memory: number,
  threads = Infinity,
): Readonly<Record<string, string>> {
  const ofIo = Math.max(MIN_IO_THREADS, Math.min(IO_THREADS, threads - OTHER_THREADS));
  return {
    UV_THREADPOOL_SIZE: String(ofIo),
    BUN_JSC_forceRAMSize: String(memoryPlan(memory).heapBasis),
  };
}

/**
 * Starts this program anew, in the same process, with the runtime options that are missing in its
 * environment. Does nothing if none is: what a user has set stays.
 *
 * This works wherever the program starts: from a checkout, as an executable, in a unit or an image.
 */
export function ensureRuntimeOptions(): void {
  const threads = processRoom();
  if (threads < OTHER_THREADS + MIN_IO_THREADS) endForLackOf(threads);
  const options = runtimeOptions(memoryLimit(), threads);
  if (Object.keys(options).every((name) => process.env[name] !== undefined)) return;
  if (process.platform !== "linux") return;
  const [, script = "", ...rest] = process.argv;
  // An executable has its flags and its script built in.
  const isExecutable = script.startsWith("/$bunfs/");
  const args = isExecutable ? rest : [...process.execArgv, script, ...rest];
  try {
    replaceProgram([process.execPath, ...args], { ...options, ...process.env });
  } catch {
    // There is no glibc. The program runs without these options too.
  }
}

/** The runtime would abort, in words that nobody understands, as soon as it cannot start a thread. */
function endForLackOf(threads: number): never {
  const needed = OTHER_THREADS + IO_THREADS;
  const advice =
    "raise TasksMax in the systemd unit, --pids-limit of the container, or ulimit -u of its user";
  process.stderr.write(
    `entrepot: only ${Math.max(0, threads)} more processes or threads may be started, and ${needed} are needed: ${advice}\n`,
  );
  process.exit(1);
}
