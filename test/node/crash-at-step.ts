// Runs an apply or a rollback, and kills itself with SIGKILL before the n-th system call that changes
// something. Run as: bun crash-at-step.ts '{"n":3,"verb":"apply",…}'
import { z } from "zod";
import { apply } from "../../src/node/apply.ts";
import { CacheClient } from "../../src/node/cache-client.ts";
import { ContainerdRuntime } from "../../src/node/containerd/runtime.ts";
import { NodeFiles } from "../../src/node/files/node-files.ts";
import { rollback } from "../../src/node/rollback.ts";
import { NodeContext } from "../../src/node/node-context.ts";

const options = z
  .object({
    n: z.number(),
    verb: z.enum(["apply", "rollback"]),
    cache: z.string(),
    namespaces: z.array(z.string()),
    probe: z.string(),
    adopt: z.boolean(),
    socket: z.string(),
    stateDirectory: z.string(),
    restartCommand: z.string(),
  })
  .parse(JSON.parse(process.argv[2] ?? ""));

const { socket, restartCommand, stateDirectory, cache } = options;
const files = new NodeFiles("/");
const runtime = new ContainerdRuntime({ files, socket, restartCommand, filesOnly: false });
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
  filesOnly: false,
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
    cache: new CacheClient(cache),
    shouldProbe: true,
    probeImages: [options.probe],
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
