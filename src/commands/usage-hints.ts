import type { Command } from "commander";
import { nearest } from "../config/parsing/schema-problems.ts";
import { printable } from "../printable.ts";
import { type KnownValue, KnownValuesArgument, KnownValuesOption } from "./known-values.ts";

/** Adds to each error about a command line what is missing or meant, and how the command is used. */
export function explainUsage(command: Command): void {
  command.configureOutput({
    outputError: (text, write) => write([printableError(text), ...hints(command, text)].join("")),
  });
  for (const child of command.commands) explainUsage(child);
}

/** What was typed may have anything in it; only the line of commander's own suggestion is its own. */
function printableError(text: string): string {
  const [, error = "", suggestion = ""] =
    /^(.*?)(\n\(Did you mean [^\n]*\?\))?\n?$/s.exec(text) ?? [];
  return `${printable(error)}${suggestion}\n`;
}

function hints(command: Command, error: string): string[] {
  const name = fullName(command);
  return [
    ...missingHints(command, error),
    ...suggestions(command, error).map((meant) => `(Did you mean ${meant}?)\n`),
    `Usage: ${name} ${command.usage()}\n`,
    `See:   ${name} --help\n`,
  ];
}

/** What an argument or an option that is missing is for, and its values if they are known. */
function missingHints(command: Command, error: string): string[] {
  const [, argumentName] = /missing required argument '(.+?)'/.exec(error) ?? [];
  const argument = command.registeredArguments.find((one) => one.name() === argumentName);
  if (argument) {
    const values = argument instanceof KnownValuesArgument ? argument.values : [];
    return [`${argument.name()}: ${argument.description}\n`, ...valueLines(values)];
  }
  const [, flags] =
    /option '(.+?)' (?:not specified|argument missing|argument is empty)/.exec(error) ?? [];
  const option = command.options.find((one) => one.flags === flags);
  if (!option) return [];
  const values = option instanceof KnownValuesOption ? option.values : [];
  return [`${option.flags}: ${option.description}\n`, ...valueLines(values)];
}

/** The values, if there is more to say about them than the description does. */
function valueLines(values: readonly KnownValue[]): string[] {
  if (values.every(({ title }) => title === "")) return [];
  const width = Math.max(0, ...values.map(({ value }) => value.length));
  return values.map(({ value, title }) => `  ${value.padEnd(width)}  ${title}\n`);
}

/** What was meant, where commander does not say it by itself. */
function suggestions(command: Command, error: string): string[] {
  if (/unknown (?:command|option) '(?:-v|version)'/.test(error)) return ["--version"];
  // commander misses an option before it looks at those that it does not know.
  const [, missing] = /required option '(--[\w-]+)/.exec(error) ?? [];
  if (missing !== undefined) {
    const known = new Set(command.options.map(({ long }) => long));
    const typed = process.argv.map((word) => word.replace(/=.*$/s, ""));
    const isMissing = (word: string): boolean =>
      word.startsWith("--") && !known.has(word) && nearest(word, [missing]) !== undefined;
    return typed.some(isMissing) ? [missing] : [];
  }
  const [, value = "", name] = /value '(.*)' is invalid for argument '(.+?)'/s.exec(error) ?? [];
  const argument = command.registeredArguments.find((one) => one.name() === name);
  if (!(argument instanceof KnownValuesArgument)) return [];
  const meant = nearest(
    value,
    argument.values.map((one) => one.value),
  );
  return meant === undefined ? [] : [meant];
}

function fullName(command: Command): string {
  const parents: string[] = [];
  for (let one: Command | null = command; one; one = one.parent) parents.unshift(one.name());
  return parents.join(" ");
}
