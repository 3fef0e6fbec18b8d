import {
  allCommands,
  type CommandNode,
  type OptionNode,
  type ParameterNode,
} from "./command-tree.ts";

/** The completion script of fish 3 and newer. */
export function fishCompletion(tree: CommandNode): string {
  const commands = allCommands(tree);
  return `# Completion of entrepot for fish.

# Whether the cursor is in a command and, if a second one is given, at that argument: its number, \`last\`,
# or the option that takes several values.
function __entrepot_at
    set -l command ''
    set -l option ''
    set -l argument 0
    set -l arguments 0
    set -l only_arguments 0
    set -l tokens (commandline -opc)
    for token in $tokens[2..]
        set -l key "$command $token"
        if test -n "$option"; and not string match -q -- '-*' $token
            string match -q -- '*one' $option; and set option ''
        else if test $only_arguments -eq 0 -a "$token" = --
            set only_arguments 1
            set option ''
        else if test $only_arguments -eq 0; and string match -q -- '-*' $token
            set option ''
            switch $key
${takesCases(commands)}            end
        else
            switch $key
${commandCases(commands)}                case '*'
                    set argument (math $argument + 1)
            end
        end
    end
    test "$command" = "$argv[1]"; or return 1
    set -q argv[2]; or return 0
    if string match -q -- '*many' $option
        string match -q -- "$argv[2] *" $option
        return
    end
    test $argument -lt $arguments; or set argument last
    test $argument = $argv[2]
end

function __entrepot_ask
    command -sq entrepot; or return
    set -l tokens (commandline -opc)
    entrepot __complete $argv[1] -- (commandline -ct) $tokens[2..] 2>/dev/null </dev/null
end

complete -c entrepot -f
${commands.map(commandLines).join("")}`;
}

const CASE = " ".repeat(16);

/** Which options take values: one, or all up to the next option. */
function takesCases(commands: readonly CommandNode[]): string {
  const keys = { one: [] as string[], many: [] as string[] };
  for (const { path, options } of commands) {
    for (const { flags, value } of options) {
      if (!value) continue;
      keys[value.isVariadic ? "many" : "one"].push(
        ...flags.map((flag) => quoted(`${path.join(" ")} ${flag}`)),
      );
    }
  }
  return Object.entries(keys)
    .filter(([, found]) => found.length > 0)
    .map(
      ([takes, found]) =>
        `${CASE}case ${found.join(" ")}\n${CASE}    set option "$token ${takes}"\n`,
    )
    .join("");
}

function commandCases(commands: readonly CommandNode[]): string {
  return commands
    .filter(({ path }) => path.length > 0)
    .map(({ path, arguments: all }) => {
      const count = all.filter(({ isVariadic }) => !isVariadic).length;
      const key = [path.slice(0, -1).join(" "), path.at(-1)].join(" ");
      return `${CASE}case ${quoted(key)}\n${CASE}    set command ${quoted(path.join(" "))}\n${CASE}    set arguments ${count}\n`;
    })
    .join("");
}

function commandLines({ path, options, arguments: all, commands }: CommandNode): string {
  const children = commands.map((child) =>
    line(path, "last", [
      `-a ${quoted(child.path.at(-1) ?? "")}`,
      `-d ${quoted(child.description)}`,
    ]),
  );
  const values = all.flatMap((argument, index) => {
    const position = argument.isVariadic ? "last" : String(index);
    const rest = source(argument);
    return rest.length > 0 ? [line(path, position, rest)] : [];
  });
  const rest = options.flatMap((option) => optionLines(path, option));
  return [...children, ...values, ...rest].join("");
}

function optionLines(path: readonly string[], { flags, description, value }: OptionNode): string[] {
  const names = flags.map((flag) =>
    flag.startsWith("--") ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`,
  );
  const described = [...names, `-d ${quoted(description)}`];
  if (!value) return [line(path, undefined, described)];
  const values = source(value);
  const takes = value.source === "files" ? "-r" : "-x";
  const lines = [line(path, undefined, [...described, takes, ...values])];
  const [long = ""] = flags.slice(-1);
  // fish takes one value per option: the others are arguments to it.
  if (value.isVariadic && values.length > 0) lines.push(line(path, long, values));
  return lines;
}

/** The options of `complete` that offer a value. */
function source({ source: from, known }: ParameterNode): string[] {
  switch (from) {
    case "files":
      return ["-F"];
    case "folders":
      return ["-a '(__fish_complete_directories)'"];
    case "known": {
      // fish evaluates this text, so that the titles are quoted twice.
      const values = known.map(({ value, title }) => `${quoted(value)}\\t${quoted(title)}`);
      return [`-a ${quoted(values.join(" "))}`];
    }
    case "images":
    case "pins":
    case "freezes":
    case "upstreams":
      return [`-a '(__entrepot_ask ${from})'`];
    case "other":
      return [];
  }
}

function line(
  path: readonly string[],
  position: string | undefined,
  rest: readonly string[],
): string {
  const at = position === undefined ? "" : ` ${position}`;
  const condition = quoted(`__entrepot_at ${quoted(path.join(" "))}${at}`);
  return `complete -c entrepot -n ${condition} ${rest.join(" ")}\n`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
