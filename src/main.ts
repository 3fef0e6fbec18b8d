import type { Command } from "commander";
import { keepLoopbackFromProxy } from "./process/loopback-without-proxy.ts";
import { ensureRuntimeOptions } from "./process/runtime-options.ts";

ensureRuntimeOptions();
// The cache decides for each registry, also for one on this machine.
if (process.argv[2] !== "serve") keepLoopbackFromProxy(process.env);
// Loaded only now: the call above may start the program anew.
const { COMMANDS, commandOf } = await import("./commands/commands.ts");
const { runProgram } = await import("./commands/program.ts");

const requested = commandOf(process.argv[2] ?? "");
// The help, and the suggestions for a misspelt name, need all commands.
const loaders = requested ? [requested] : Object.values(COMMANDS);
const commands: Command[] = [];
for (const load of loaders) commands.push(await load());
await runProgram(commands);
