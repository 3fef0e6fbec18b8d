import type { Command } from "commander";
import { OPERATOR_COMMANDS } from "./operator-commands.ts";
import { program } from "./program.ts";

/** Loads each command, in the order of the help. No command waits for the libraries of another. */
export const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  serve: async () => (await import("./serve/serve.ts")).serveCommand(),
  ...OPERATOR_COMMANDS,
  pull: async () => (await import("./trial/pull.ts")).pullCommand(),
  adopt: async () => (await import("./store/adopt.ts")).adoptCommand(),
  drill: async () => (await import("./drill/drill.ts")).drillCommand(),
  render: async () => (await import("./setup/render.ts")).renderCommand(),
  doctor: async () => (await import("./setup/doctor.ts")).doctorCommand(),
  import: async () => (await import("./setup/import.ts")).importCommand(),
  node: async () => (await import("./node/node.ts")).nodeCommand(),
  completion: async () => (await import("./help/completion.ts")).completionCommand(wholeProgram),
  man: async () => (await import("./help/man.ts")).manCommand(wholeProgram),
};

/** What completion scripts call: in no help. */
const HIDDEN_COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  __complete: async () => (await import("./help/candidates.ts")).candidatesCommand(),
};

/** Loads the command of this name, in no help or in one; `undefined` if there is none. */
export function commandOf(name: string): (() => Promise<Command>) | undefined {
  const all = { ...COMMANDS, ...HIDDEN_COMMANDS };
  // `constructor` is no command.
  return Object.hasOwn(all, name) ? all[name] : undefined;
}

/** The program with all commands of its help. */
export async function wholeProgram(): Promise<Command> {
  const commands = await Promise.all(Object.values(COMMANDS).map((load) => load()));
  return program(commands);
}
