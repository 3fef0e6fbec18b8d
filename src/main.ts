import type { Command } from "commander";
import { runProgram } from "./commands/program.ts";

/** By name, in the order of the help. Each brings its own libraries, which no other one waits for. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  serve: async () => (await import("./commands/serve/serve.ts")).serveCommand(),
  status: async () => (await import("./commands/store/status.ts")).statusCommand(),
  ls: async () => (await import("./commands/store/ls.ts")).lsCommand(),
  pin: async () => (await import("./commands/store/pin.ts")).pinCommand(),
  unpin: async () => (await import("./commands/store/pin.ts")).unpinCommand(),
  purge: async () => (await import("./commands/store/purge.ts")).purgeCommand(),
  gc: async () => (await import("./commands/store/gc.ts")).gcCommand(),
  fsck: async () => (await import("./commands/store/fsck.ts")).fsckCommand(),
  adopt: async () => (await import("./commands/store/adopt.ts")).adoptCommand(),
  render: async () => (await import("./commands/setup/render.ts")).renderCommand(),
  doctor: async () => (await import("./commands/setup/doctor.ts")).doctorCommand(),
  import: async () => (await import("./commands/setup/import.ts")).importCommand(),
  node: async () => (await import("./commands/node/node.ts")).nodeCommand(),
};

const asked = COMMANDS[process.argv[2] ?? ""];
// Help and suggestions know all of them.
const load = asked ? [asked] : Object.values(COMMANDS);
const commands: Command[] = [];
for (const command of load) commands.push(await command());
await runProgram(commands);
