import { memoryLimit } from "./memory-limit.ts";
import { replaceProgram } from "./replace-program.ts";

const MIB = 1024 * 1024;
/**
 * Threads for file I/O. Bun starts as many as there are processors, so on a small machine a few slow
 * syncs would hold up every other file. An idle thread costs next to nothing.
 */
const IO_THREADS = 32;
/** Memory that JavaScriptCore is told of at most, in bytes: it collects garbage earlier then. */
const MAX_HEAP_BASIS = 512 * MIB;
/** With less, it collects so often that pulls become slow. */
const MIN_HEAP_BASIS = 64 * MIB;

/**
 * Environment variables that Bun reads only as it starts.
 *
 * @param memory bytes that this process may use
 */
export function runtimeOptions(memory: number): Readonly<Record<string, string>> {
  const heapBasis = Math.min(MAX_HEAP_BASIS, Math.max(MIN_HEAP_BASIS, Math.floor(memory / 4)));
  return {
    UV_THREADPOOL_SIZE: String(IO_THREADS),
    BUN_JSC_forceRAMSize: String(heapBasis),
  };
}

/**
 * Starts this program anew, in the same process, with the runtime options that are missing in its
 * environment. Does nothing if none is: what a user has set stays.
 *
 * This works wherever the program starts: from a checkout, as an executable, in a unit or an image.
 */
export function ensureRuntimeOptions(): void {
  const options = runtimeOptions(memoryLimit());
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
