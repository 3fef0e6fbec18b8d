import { Command, CommanderError } from "commander";
import { explainUsage } from "./usage-hints.ts";
import { usageErrorCode } from "./usage-error.ts";
import { revision, version, versionText } from "../version.ts";

/** @param printed by `--version` */
export function program(commands: readonly Command[], printed: string = version): Command {
  const whole = new Command("entrepot")
    .description("A pull-through cache for every container registry, in one process.")
    .version(
      printed,
      "-V, --version",
      "print the version, the commit and its date; with --json, for programs",
    )
    .showSuggestionAfterError()
    .exitOverride()
    .hook("preAction", (_, command) => refuseEmptyPaths(command));
  for (const command of commands) whole.addCommand(command.exitOverride());
  explainUsage(whole);
  return whole;
}

/**
 * A path is empty where a script's variable is not set. Joined to other names, it would mean the current
 * directory, or nothing at all.
 */
function refuseEmptyPaths(command: Command): void {
  const empty = command.options.find(
    (option) =>
      /<(?:dir|file|path)>/.test(option.flags) &&
      command.getOptionValueSource(option.attributeName()) === "cli" &&
      command.getOptionValue(option.attributeName()) === "",
  );
  if (empty) command.error(`error: option '${empty.flags}' argument is empty`);
  const [first] = command.registeredArguments;
  if (first && ["file", "folder"].includes(first.name()) && command.args.includes("")) {
    command.error(`error: a ${first.name()} is empty: write its path`);
  }
}

/** What `--version` prints. Asking git takes time, so it is asked only then. */
async function printedVersion(args: readonly string[]): Promise<string> {
  if (!args.some(isVersion)) return version;
  const built = await revision();
  if (!args.includes("--json")) return versionText(built);
  return JSON.stringify({ version, ...built, bun: Bun.version });
}

function isVersion(word: string): boolean {
  return word === "--version" || word === "-V";
}

/** commander shows its general help for a command that it does not know: it is to say so instead. */
export function unknownInHelp(whole: Command, args: readonly string[]): readonly string[] {
  const [first, second] = args;
  const name = first === "help" ? second : args.some(isHelp) ? first : undefined;
  if (name === undefined || name.startsWith("-") || name === "help") return args;
  return whole.commands.some((command) => command.name() === name) ? args : [name];
}

function isHelp(word: string): boolean {
  return word === "--help" || word === "-h";
}

/** Runs the command of the command line, and ends the process. */
export async function runProgram(commands: readonly Command[]): Promise<void> {
  try {
    const given = process.argv.slice(2);
    const whole = program(commands, await printedVersion(given));
    // `--json --version` is the same as `--version --json`.
    const args = given[0] === "--json" && given.some(isVersion) ? given.slice(1) : given;
    await whole.parseAsync(unknownInHelp(whole, args), { from: "user" });
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
