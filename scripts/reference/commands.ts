import type { Command, Option } from "commander";
import { COMMANDS } from "../../src/commands/commands.ts";
import { type Row, table } from "./markdown.ts";

export async function commandsPage(): Promise<string> {
  const commands = await Promise.all(Object.values(COMMANDS).map((load) => load()));
  return [
    "# Commands",
    "",
    "Exit codes: 0 for success, 1 for a failure or a problem found, 2 for incorrect usage, 130 after Ctrl-C. Every command has `--help`.",
    "",
    table(
      ["Command", "What it does"],
      commands.map((command) => [link(command), command.description()]),
    ),
    "",
    ...commands.flatMap((command) => section(command, "entrepot", 2)),
  ].join("\n");
}

function link(command: Command): string {
  const name = command.name();
  return `[\`entrepot ${name}\`](#entrepot-${name})`;
}

function section(command: Command, parent: string, level: number): string[] {
  const name = `${parent} ${command.name()}`;
  const parts = [
    `${"#".repeat(level)} ${name}`,
    "",
    sentence(command.description()),
    "",
    "```",
    `${name} ${command.usage()}`.trim(),
    "```",
    "",
  ];
  const parameters = command.registeredArguments.map((argument): Row => [
    `\`${argument.name()}\``,
    argument.description,
  ]);
  if (parameters.length > 0) parts.push(table(["Argument", "Meaning"], parameters), "");
  const options = command.options.filter(({ hidden }) => !hidden).map(optionRow);
  if (options.length > 0) parts.push(table(["Option", "Default", "Meaning"], options), "");
  return parts.concat(command.commands.flatMap((child) => section(child, name, level + 1)));
}

function optionRow({ flags, defaultValue, defaultValueDescription, description }: Option): Row {
  // commander has `unknown` values here; those of this program are strings, numbers and lists.
  const value = defaultValueDescription ?? (defaultValue === undefined ? "" : String(defaultValue));
  const isShown = value !== "" && value !== "false";
  return [`\`${flags}\``, isShown ? `\`${value}\`` : "", description];
}

function sentence(text: string): string {
  const upper = text.slice(0, 1).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(upper) ? upper : `${upper}.`;
}
