import type { Command } from "commander";
import { COMMANDS } from "./commands/commands.ts";
import { runProgram } from "./commands/program.ts";

const asked = COMMANDS[process.argv[2] ?? ""];
// Help and suggestions know all of them.
const load = asked ? [asked] : Object.values(COMMANDS);
const commands: Command[] = [];
for (const command of load) commands.push(await command());
await runProgram(commands);
