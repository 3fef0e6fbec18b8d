import { Command, CommanderError } from "commander";
import { adoptCommand } from "./commands/adopt.ts";
import { fsckCommand } from "./commands/fsck.ts";
import { gcCommand } from "./commands/gc.ts";
import { lsCommand } from "./commands/ls.ts";
import { pinCommand, unpinCommand } from "./commands/pin.ts";
import { purgeCommand } from "./commands/purge.ts";
import { doctorCommand } from "./commands/doctor.ts";
import { importCommand } from "./commands/import.ts";
import { nodeCommand } from "./commands/node.ts";
import { renderCommand } from "./commands/render.ts";
import { serveCommand } from "./commands/serve.ts";
import { version } from "./version.ts";

/** Wrong use of the command line, as opposed to something that was found wrong (1). */
const WRONG_USE = 2;

async function main(): Promise<void> {
  const program = new Command("entrepot")
    .description("A pull-through cache for every container registry, in one process.")
    .version(version)
    .showSuggestionAfterError()
    .exitOverride();
  const commands = [
    serveCommand(),
    lsCommand(),
    pinCommand(),
    unpinCommand(),
    purgeCommand(),
    gcCommand(),
    fsckCommand(),
    adoptCommand(),
    renderCommand(),
    doctorCommand(),
    importCommand(),
    nodeCommand(),
  ];
  for (const command of commands) program.addCommand(command.exitOverride());
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
