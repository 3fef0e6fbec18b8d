import { Command, CommanderError } from "commander";
import { version } from "../version.ts";

/** Exit code for an invalid command line. A problem that a command finds is 1. */
const USAGE_ERROR = 2;

/** Runs the command of the command line, and ends the process. */
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
    process.exitCode = error.exitCode === 0 ? 0 : USAGE_ERROR;
  }
  // Otherwise a request to an upstream that hangs would keep the process alive until its deadline.
  process.exit();
}
