import { expect, test } from "bun:test";
import type { Command } from "commander";
import { wholeProgram } from "../commands.ts";

/** A command and all below it, with the words that select each. */
function all(command: Command, words: string): [words: string, command: Command][] {
  return [
    [words, command],
    ...command.commands.flatMap((child) => all(child, `${words} ${child.name()}`)),
  ];
}

/** As `--help` prints it on a terminal of 80 columns. */
function helpOf(command: Command): string {
  let text = "";
  command.configureOutput({
    getOutHelpWidth: () => 80,
    writeOut: (more) => {
      text += more;
    },
  });
  command.outputHelp();
  return text;
}

const commands = all(await wholeProgram(), "entrepot");

test.each(commands)("the help of %s fits in 80 columns", (_, command) => {
  const long = helpOf(command)
    .split("\n")
    .filter((line) => line.length > 80);
  expect(long).toEqual([]);
});

test.each(commands)("each option and argument of %s is described", (_, command) => {
  const shown = command.options.filter(({ hidden }) => !hidden);
  const described = [...shown, ...command.registeredArguments];
  const parts = described.map((one) => one.description).concat(command.description());
  expect(parts.filter((text) => text.trim() === "" || /\s$|^\s|\n/.test(text))).toEqual([]);
});
