import type { KnownValue } from "../known-values.ts";
import {
  allCommands,
  type CommandNode,
  type OptionNode,
  type ParameterNode,
} from "./command-tree.ts";

/** The completion script of zsh: for a folder of `fpath`, or to be sourced after `compinit`. */
export function zshCompletion(tree: CommandNode): string {
  const commands = allCommands(tree);
  return `#compdef entrepot
# Completion of entrepot for zsh.

__entrepot_ask() {
  (( $+commands[entrepot] )) || return
  local source=$1
  shift
  local -a found
  found=(\${(f)"$(entrepot __complete $source -- "$PREFIX" "\${(@)words[1,CURRENT-1]}" 2>/dev/null </dev/null)"})
  compadd "$@" -a found
}
__entrepot_images() { __entrepot_ask images "$@" }
__entrepot_pins() { __entrepot_ask pins "$@" }
__entrepot_freezes() { __entrepot_ask freezes "$@" }
__entrepot_upstreams() { __entrepot_ask upstreams "$@" }

${commands.map(commandFunctions).join("\n")}
if [[ $funcstack[1] == _entrepot ]]; then
  _entrepot "$@"
else
  compdef _entrepot entrepot
fi
`;
}

function functionOf(path: readonly string[], ...more: string[]): string {
  return ["_entrepot", ...path, ...more].join("_");
}

function commandFunctions(command: CommandNode): string {
  const { path, options, commands } = command;
  const own = functionOf(path);
  const known = command.arguments.filter(({ known: values }) => values.some(({ title }) => title));
  const lists = known.map(({ name, known: values }) =>
    listFunction(functionOf(path, name), name, values),
  );
  const specs = options.map(optionSpec);
  if (commands.length === 0) {
    specs.push(...command.arguments.map((argument, index) => argumentSpec(argument, index, path)));
    return `${lists.join("")}${own}() {\n  _arguments -S ${continued(specs)}\n}\n`;
  }
  const children = commands.map(({ path: child, description }) => ({
    value: child.at(-1) ?? "",
    title: description,
  }));
  specs.push(quoted(`1: :${own}_commands`), quoted("*:: :->command"));
  const cases = commands.map(({ path: child }) => `    ${child.at(-1)}) ${functionOf(child)} ;;\n`);
  return `${listFunction(`${own}_commands`, "command", children)}${own}() {
  local curcontext=$curcontext context state state_descr line
  typeset -A opt_args
  _arguments -C -S ${continued(specs)}
  [[ $state == command ]] || return
  case $words[1] in
${cases.join("")}  esac
}
`;
}

function continued(specs: readonly string[]): string {
  return specs.map((spec) => `\\\n    ${spec}`).join(" ");
}

/** A function that offers values with their titles. */
function listFunction(name: string, tag: string, values: readonly KnownValue[]): string {
  const entries = values.map(
    ({ value, title }) => `    ${quoted(`${escaped(value, ":")}:${escaped(title, "")}`)}\n`,
  );
  return `${name}() {\n  local -a found\n  found=(\n${entries.join("")}  )\n  _describe -t ${tag} ${tag} found\n}\n`;
}

function optionSpec({ flags, description, value }: OptionNode): string {
  const explained = `[${escaped(description, "[]")}]`;
  const [flag = "", ...others] = flags;
  if (others.length > 0) {
    return `${quoted(`(${flags.join(" ")})`)}{${flags.join(",")}}${quoted(explained)}`;
  }
  if (!value) return quoted(`${flag}${explained}`);
  const name = escaped(value.name, ":");
  // `_arguments` cannot end a list of values at the next option: a variadic one is repeated instead.
  const repeated = value.isVariadic ? "*" : "";
  return quoted(`${repeated}${flag}=${explained}:${name}:${action(value, [])}`);
}

function argumentSpec(argument: ParameterNode, index: number, path: readonly string[]): string {
  const position = argument.isVariadic ? "*" : String(index + 1);
  const optional = argument.isRequired || argument.isVariadic ? ":" : "::";
  const name = escaped(argument.name, ":");
  return quoted(`${position}${optional}${name}:${action(argument, path)}`);
}

function action({ name, source, known }: ParameterNode, path: readonly string[]): string {
  switch (source) {
    case "files":
      return "_files";
    case "folders":
      return "_files -/";
    case "known":
      if (known.some(({ title }) => title)) return functionOf(path, name);
      return `(${known.map(({ value }) => escaped(value, ": ")).join(" ")})`;
    case "images":
    case "pins":
    case "freezes":
    case "upstreams":
      return `__entrepot_${source}`;
    case "other":
      return " ";
  }
}

/** Escapes backslashes, and characters that would end a part of a specification. */
function escaped(text: string, special: string): string {
  return text.replaceAll(/[\\:[\] ]/g, (one) =>
    one === "\\" || special.includes(one) ? `\\${one}` : one,
  );
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
