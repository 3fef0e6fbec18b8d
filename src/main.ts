import type { Command } from "commander";
import { runProgram } from "./commands/program.ts";

/** By name, in the order of the help. Each brings its own libraries, which no other one waits for. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  serve: async () => (await import("./commands/serve.ts")).serveCommand(),
  status: async () => (await import("./commands/status.ts")).statusCommand(),
  ls: async () => (await import("./commands/ls.ts")).lsCommand(),
  pin: async () => (await import("./commands/pin.ts")).pinCommand(),
  unpin: async () => (await import("./commands/pin.ts")).unpinCommand(),
  purge: async () => (await import("./commands/purge.ts")).purgeCommand(),
  gc: async () => (await import("./commands/gc.ts")).gcCommand(),
  fsck: async () => (await import("./commands/fsck.ts")).fsckCommand(),
  adopt: async () => (await import("./commands/adopt.ts")).adoptCommand(),
  render: async () => (await import("./commands/render.ts")).renderCommand(),
  doctor: async () => (await import("./commands/doctor.ts")).doctorCommand(),
  import: async () => (await import("./commands/import.ts")).importCommand(),
  node: async () => (await import("./commands/node.ts")).nodeCommand(),
};

const asked = COMMANDS[process.argv[2] ?? ""];
// Help and suggestions know all of them.
const load = asked ? [asked] : Object.values(COMMANDS);
const commands: Command[] = [];
for (const command of load) commands.push(await command());
await runProgram(commands);
