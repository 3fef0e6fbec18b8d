// Runs an apply or a rollback and ends itself by SIGKILL right before the n-th system call that
// changes something. Run as: bun crash-at-step.ts '{"n":3,"verb":"apply",…}'
import { z } from "zod";
import { apply } from "../../src/node/apply.ts";
import { CacheClient } from "../../src/node/cache-client.ts";
import { ContainerdRuntime } from "../../src/node/containerd/containerd-runtime.ts";
import { NodeFiles } from "../../src/node/files/node-files.ts";
import { rollback } from "../../src/node/rollback.ts";
import { NodeContext } from "../../src/node/node-context.ts";

const order = z
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

const { socket, restartCommand, stateDirectory, cache } = order;
const files = new NodeFiles("/");
const runtime = new ContainerdRuntime({ files, socket, restartCommand, filesOnly: false });
let step = 0;
const witness = (operation: string, path: string): void => {
  step += 1;
  if (step !== order.n) return;
  console.log(`dies before ${operation} ${path}`);
  process.kill(process.pid, "SIGKILL");
};
const context = new NodeContext({ files, runtime, stateDirectory, filesOnly: false, witness });
const confirm = (): Promise<boolean> => Promise.resolve(true);
const say = (): void => {};
if (order.verb === "rollback") {
  const result = await rollback({ context, confirm, say });
  console.log(`ended: ${result.outcome}`);
} else {
  const result = await apply({
    context,
    confirm,
    say,
    all: false,
    waitMs: 5_000,
    cache: new CacheClient(cache),
    proves: true,
    probes: [order.probe],
    desired: {
      cache,
      namespaces: order.namespaces,
      useDefault: false,
      adopt: order.adopt,
      replace: false,
      dialTimeout: "1s",
    },
  });
  console.log(`ended: ${result.outcome}`);
}
