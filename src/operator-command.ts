import { OPERATOR_COMMANDS } from "./commands/operator-commands.ts";
import { runProgram } from "./commands/program.ts";
import { keepLoopbackFromProxy } from "./process/loopback-without-proxy.ts";

// One of the commands that work on a cache, such as `entrepot status`: scripts/bundle.mjs bundles this file, as serve.ts.
keepLoopbackFromProxy(process.env);
void run();

/** @throws Error if another command was asked for: scripts/launch.mjs runs those from main.ts */
async function run(): Promise<void> {
  const name = process.argv[2] ?? "";
  const load = OPERATOR_COMMANDS[name];
  if (!load) throw new Error(`${name} is not a command that works on a cache`);
  await runProgram([await load()]);
}
