import type { Command } from "commander";
import { COMMANDS } from "./commands/commands.ts";
import { runProgram } from "./commands/program.ts";

const requested = COMMANDS[process.argv[2] ?? ""];
// The help, and the suggestions for a misspelt name, need all commands.
const loaders = requested ? [requested] : Object.values(COMMANDS);
const commands: Command[] = [];
for (const load of loaders) commands.push(await load());
await runProgram(commands);
