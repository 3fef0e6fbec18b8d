import { Command, CommanderError } from "commander";
import { version } from "./version.ts";

/** Wrong use of the command line, as opposed to something that was found wrong (1). */
const WRONG_USE = 2;

/** By name, in the order of the help. Each brings its own libraries, which no other one waits for. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  serve: async () => (await import("./commands/serve.ts")).serveCommand(),
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

async function main(): Promise<void> {
  const program = new Command("entrepot")
    .description("A pull-through cache for every container registry, in one process.")
    .version(version)
    .showSuggestionAfterError()
    .exitOverride();
  const asked = COMMANDS[process.argv[2] ?? ""];
  // Help and suggestions know all of them.
  const load = asked ? [asked] : Object.values(COMMANDS);
  for (const command of load) program.addCommand((await command()).exitOverride());
  try {
    await program.parseAsync();
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    process.exitCode = error.exitCode === 0 ? 0 : WRONG_USE;
  }
}

await main();
// A request to an upstream that hangs would keep the process for as long as its deadline.
process.exit();
