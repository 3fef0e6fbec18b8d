import { Command, CommanderError } from "commander";
import { version } from "../version.ts";

/** Wrong use of the command line, as opposed to something that was found wrong (1). */
const WRONG_USE = 2;

/** Runs the one of the commands that was asked for, and ends the process. */
export async function runProgram(commands: readonly Command[]): Promise<void> {
  const program = new Command("entrepot")
    .description("A pull-through cache for every container registry, in one process.")
    .version(version)
    .showSuggestionAfterError()
    .exitOverride();
  for (const command of commands) program.addCommand(command.exitOverride());
  try {
    await program.parseAsync();
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    process.exitCode = error.exitCode === 0 ? 0 : WRONG_USE;
  }
  // A request to an upstream that hangs would keep the process for as long as its deadline.
  process.exit();
}
