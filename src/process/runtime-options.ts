import { writeSync } from "node:fs";
import { memoryLimit, tooLittleMemory } from "./memory-limit.ts";
import { memoryPlan } from "./memory-plan.ts";
import { replaceProgram } from "./replace-program.ts";
import { ioThreads, threadLimit, tooFewThreads } from "./thread-limit.ts";

/**
 * Environment variables that Bun reads only as it starts.
 *
 * @param memory bytes that this process may use
 * @param threads for file I/O. Bun starts as many as there are processors, so on a small machine a few
 *   slow syncs would hold up every other file
 */
export function runtimeOptions(memory: number, threads: number): Readonly<Record<string, string>> {
  return {
    UV_THREADPOOL_SIZE: String(threads),
    BUN_JSC_forceRAMSize: String(memoryPlan(memory).heapBasis),
    // The last of its compilers, and the code that it makes, take 6 to 10 MB. A hit is as fast without it.
    BUN_JSC_useFTLJIT: "0",
    // The other two take 20 to 30 MB, mostly for functions that are called now and then. They compile what is
    // called some 130 and 7000 times, by default 33 and 67 times: everything in a hit soon is.
    BUN_JSC_thresholdForJITAfterWarmUp: "2000",
    BUN_JSC_thresholdForJITSoon: "400",
    BUN_JSC_thresholdForOptimizeAfterWarmUp: "100000",
    BUN_JSC_thresholdForOptimizeAfterLongWarmUp: "100000",
    // Requests to registries at once, past which one waits for ever (transport/concurrency-limiter.ts).
    BUN_CONFIG_MAX_HTTP_REQUESTS: "4096",
    // Milliseconds until freed memory is given back to the kernel. By default, it is 100: what downloads free in
    // that time is 12 to 15 MB.
    MIMALLOC_PURGE_DELAY: "10",
  };
}

/**
 * Starts this program anew, in the same process, with the runtime options that are missing in its
 * environment. Does nothing if none is: what a user has set stays.
 *
 * This works wherever the program starts: from a checkout, as an executable, in a unit or an image.
 */
export function ensureRuntimeOptions(): void {
  const limit = threadLimit();
  const threads = ioThreads(limit);
  if (limit && threads === undefined) {
    writeSync(2, `entrepot: ${tooFewThreads(limit)}\n`);
    process.exit(1);
  }
  const memory = memoryLimit();
  // Said here, because the kernel would end the program while it loads what else it is made of.
  const isServing = process.argv[2] === "serve";
  const problem = isServing ? tooLittleMemory(memory) : undefined;
  if (problem !== undefined) {
    writeSync(2, `entrepot: ${problem}\n`);
    process.exit(1);
  }
  const options = runtimeOptions(memory, threads ?? 0);
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
