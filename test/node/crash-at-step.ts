// Runs an apply or a rollback, and kills itself with SIGKILL before the n-th system call that changes
// something. Run as: bun crash-at-step.ts '{"n":3,"verb":"apply",…}'
import { z } from "zod";
import { apply } from "../../src/node/wiring/apply.ts";
import { CacheClient } from "../../src/node/cache-client.ts";
import { NodeFiles } from "../../src/node/files/node-files.ts";
import { rollback } from "../../src/node/wiring/rollback.ts";
import { RUNTIME_NAMES } from "../../src/node/runtime.ts";
import { openRuntime } from "../../src/node/runtimes.ts";
import { NodeContext } from "../../src/node/node-context.ts";

const options = z
  .object({
    n: z.number(),
    verb: z.enum(["apply", "rollback"]),
    runtime: z.enum(RUNTIME_NAMES),
    /** Another root, of which only the files are changed. */
    root: z.string().optional(),
    cache: z.string(),
    namespaces: z.array(z.string()),
    probe: z.string().optional(),
    adopt: z.boolean(),
    socket: z.string().optional(),
    stateDirectory: z.string(),
    restartCommand: z.string().optional(),
  })
  .parse(JSON.parse(process.argv[2] ?? ""));

const { socket, restartCommand, stateDirectory, cache, root } = options;
const files = new NodeFiles(root ?? "/");
const filesOnly = root !== undefined;
const runtime = openRuntime(options.runtime, {
  files,
  filesOnly,
  ...(socket === undefined ? {} : { socket }),
  ...(restartCommand === undefined ? {} : { restartCommand }),
});
let syscalls = 0;
const beforeSyscall = (operation: string, path: string): void => {
  syscalls += 1;
  if (syscalls !== options.n) return;
  console.log(`killed before ${operation} ${path}`);
  process.kill(process.pid, "SIGKILL");
};
const context = new NodeContext({
  files,
  runtime,
  stateDirectory,
  filesOnly,
  beforeSyscall,
});
const confirm = (): Promise<boolean> => Promise.resolve(true);
const report = (): void => {};
if (options.verb === "rollback") {
  const result = await rollback({ context, confirm, report });
  console.log(`ended: ${result.outcome}`);
} else {
  const result = await apply({
    context,
    confirm,
    report,
    all: false,
    waitMs: 5_000,
    cache: filesOnly ? undefined : new CacheClient(cache),
    shouldProbe: true,
    probeImages: options.probe === undefined ? [] : [options.probe],
    desired: {
      cache,
      namespaces: options.namespaces,
      useDefault: false,
      adopt: options.adopt,
      replace: false,
      dialTimeout: "1s",
    },
  });
  console.log(`ended: ${result.outcome}`);
}
