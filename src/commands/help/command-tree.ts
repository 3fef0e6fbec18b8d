import type { Argument, Command, Option } from "commander";
import { type KnownValue, KnownValuesArgument, KnownValuesOption } from "../known-values.ts";

/** Where the values of a parameter come from: `other` for those that nobody can list. */
export type ValueSource =
  "files" | "folders" | "images" | "pins" | "freezes" | "upstreams" | "known" | "other";

/** A value that is typed on the command line, of an option or as an argument. */
export interface ParameterNode {
  /** As in the usage: `file`. */
  readonly name: string;
  readonly source: ValueSource;
  /** With the source `known`. */
  readonly known: readonly KnownValue[];
  readonly isRequired: boolean;
  /** Whether several follow each other. */
  readonly isVariadic: boolean;
}

export interface ArgumentNode extends ParameterNode {
  readonly description: string;
}

export interface OptionNode {
  /** With its dashes: `--config`, `-h`. */
  readonly flags: readonly string[];
  readonly description: string;
  /** What it is without the option, if that is a value. */
  readonly default?: string;
  /** Absent for a switch. */
  readonly value?: ParameterNode;
}

/** What can be typed for a command, without what is hidden. */
export interface CommandNode {
  /** The words that select it: empty for the program itself, `["node", "apply"]`. */
  readonly path: readonly string[];
  readonly description: string;
  /** After the words that select it: `[options] <target>`. */
  readonly usage: string;
  readonly options: readonly OptionNode[];
  readonly arguments: readonly ArgumentNode[];
  readonly commands: readonly CommandNode[];
  /** What the help adds, such as examples: sections with a title that ends in a colon. */
  readonly notes: string;
}

/** The commands of the program, from what commander knows of them. */
export function commandTree(command: Command, path: readonly string[] = []): CommandNode {
  const help = command.createHelp();
  const commands = help
    .visibleCommands(command)
    .map((child) => commandTree(child, [...path, child.name()]));
  const names = untitled(commands.map((child) => child.path.at(-1) ?? ""));
  return {
    path,
    description: command.description(),
    usage: command.usage(),
    options: help.visibleOptions(command).map(optionNode),
    arguments: command.registeredArguments.map((argument) => argumentNode(argument, path)),
    notes: notesOf(command),
    commands: commands.map((child) => (isHelp(child) ? withArgument(child, names) : child)),
  };
}

function notesOf(command: Command): string {
  let text = "";
  command.configureOutput({
    writeOut: (more) => {
      text += more;
    },
  });
  command.outputHelp();
  return text.slice(command.helpInformation().length).trim();
}

/** commander's own command, whose argument is another command. */
function isHelp({ path, commands }: CommandNode): boolean {
  return path.at(-1) === "help" && commands.length === 0;
}

function withArgument(child: CommandNode, known: readonly KnownValue[]): CommandNode {
  const own = child.arguments.map((argument) => ({ ...argument, known, source: "known" as const }));
  return { ...child, arguments: own };
}

/** A command and all below it, in the order of the help. */
export function allCommands(tree: CommandNode): CommandNode[] {
  return [tree, ...tree.commands.flatMap(allCommands)];
}

const SOURCES: Readonly<Record<string, ValueSource>> = {
  file: "files",
  path: "files",
  dir: "folders",
  folder: "folders",
  image: "images",
};

function optionNode(option: Option): OptionNode {
  const { short, long, flags, description, required, optional, variadic, argChoices } = option;
  const node = {
    flags: [short, long].filter((flag) => flag !== undefined),
    description,
    ...defaultOf(option),
  };
  if (!required && !optional) return node;
  const name = /[<[]([^>\].]+)/.exec(flags)?.[1] ?? "value";
  const known = option instanceof KnownValuesOption ? option.values : untitled(argChoices ?? []);
  const source = long === "--upstream" ? "upstreams" : (SOURCES[name] ?? "other");
  const value = { name, known, isRequired: required, isVariadic: variadic };
  return { ...node, value: { ...value, source: known.length > 0 ? "known" : source } };
}

function defaultOf({ defaultValue, defaultValueDescription }: Option): Pick<OptionNode, "default"> {
  // commander has `unknown` values here; those of this program are strings, numbers and lists.
  const text = defaultValueDescription ?? (defaultValue === undefined ? "" : String(defaultValue));
  return text === "" || text === "false" ? {} : { default: text };
}

function argumentNode(argument: Argument, path: readonly string[]): ArgumentNode {
  const { description, required, variadic, argChoices } = argument;
  const name = argument.name();
  const known =
    argument instanceof KnownValuesArgument ? argument.values : untitled(argChoices ?? []);
  const source =
    name === "pattern" || name === "images" ? patternSource(path) : (SOURCES[name] ?? "other");
  return {
    name,
    description,
    known,
    source: known.length > 0 ? "known" : source,
    isRequired: required,
    isVariadic: variadic,
  };
}

function untitled(values: readonly string[]): KnownValue[] {
  return values.map((value) => ({ value, title: "" }));
}

function patternSource(path: readonly string[]): ValueSource {
  const command = path.at(-1);
  if (command === "unpin") return "pins";
  return command === "unfreeze" ? "freezes" : "images";
}
