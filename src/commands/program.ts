import { Command, CommanderError } from "commander";
import { explainUsage } from "./usage-hints.ts";
import { usageErrorCode } from "./usage-error.ts";
import { version } from "../version.ts";

export function program(commands: readonly Command[]): Command {
  const whole = new Command("entrepot")
    .description("A pull-through cache for every container registry, in one process.")
    .version(version)
    .showSuggestionAfterError()
    .exitOverride();
  for (const command of commands) whole.addCommand(command.exitOverride());
  explainUsage(whole);
  return whole;
}

/** Runs the command of the command line, and ends the process. */
export async function runProgram(commands: readonly Command[]): Promise<void> {
  try {
    await program(commands).parseAsync();
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    process.exitCode = error.exitCode === 0 ? 0 : usageErrorCode();
  }
  await Promise.all([flushed(process.stdout), flushed(process.stderr)]);
  // Otherwise a request to an upstream that hangs would keep the process alive until its deadline.
  process.exit();
}

/** Resolves once a slow reader of a pipe has what was written, or has gone: `process.exit` drops the rest. */
function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    stream.once("error", () => resolve());
    stream.end(() => resolve());
  });
}
