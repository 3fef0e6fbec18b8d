import { version } from "../../version.ts";
import { documentedKeys, type DocumentedKey, OVERRIDES } from "../../config/key-reference.ts";
import {
  allCommands,
  type CommandNode,
  type OptionNode,
  type ParameterNode,
} from "./command-tree.ts";
import { bold, italic, literal, protectedLine, request, text } from "./roff.ts";

export interface ManPage {
  /** `entrepot-node-apply`. */
  readonly name: string;
  readonly section: 1 | 5;
  readonly text: string;
}

/** A page per command, and one for the configuration file. @param date is printed on each */
export function manPages(tree: CommandNode, date: Date): ManPage[] {
  const commands = allCommands(tree).filter(({ path }) => path.at(-1) !== "help");
  return [...commands.map((command) => commandPage(command, date)), configurationPage(date)];
}

function commandPage(command: CommandNode, date: Date): ManPage {
  const { path, description, options, commands } = command;
  const name = pageOf(path);
  const children = commands.filter((child) => child.path.at(-1) !== "help");
  const lines = [
    ...head(name, 1, date, path.length === 0 ? lowered(description) : description),
    request("SH", "SYNOPSIS"),
    protectedLine(`${bold(["entrepot", ...path].join(" "))} ${synopsis(command)}`.trim()),
    request("SH", "DESCRIPTION"),
    text(sentence(description)),
    ...section("COMMANDS", children.flatMap(commandEntry)),
    ...section("ARGUMENTS", command.arguments.flatMap(argumentEntry)),
    ...section("OPTIONS", options.flatMap(optionEntry)),
    ...notes(command.notes),
    ...(/^Exit codes:/m.test(command.notes) ? [] : EXIT_STATUS),
    request("SH", "SEE ALSO"),
    seeAlso([
      ...(path.length > 0 ? [pageOf(path.slice(0, -1))] : []),
      ...children.map((child) => pageOf(child.path)),
    ]),
  ];
  return { name, section: 1, text: `${lines.join("\n")}\n` };
}

function configurationPage(date: Date): ManPage {
  const { file, upstream } = documentedKeys();
  const lines = [
    ...head("entrepot.yaml", 5, date, "the configuration of the Entrepot cache"),
    request("SH", "DESCRIPTION"),
    text(
      "No file is required. `entrepot serve --config entrepot.yaml` reads one; it may contain only the keys below. With an unknown key, a wrong type or an invalid value the cache does not start, and the error names the file, line and column. Relative paths are relative to the folder of the file.",
    ),
    ...section("KEYS OF THE FILE", file.flatMap(keyEntry)),
    ...section("KEYS OF EACH OF THE UPSTREAMS", upstream.flatMap(keyEntry)),
    ...section("ENVIRONMENT", [
      text("A flag overrides an environment variable, which overrides the file."),
      ...OVERRIDES.flatMap(([flag, variable, key]) => [
        ".TP",
        bold(variable),
        text(overridden(flag, key)),
      ]),
    ]),
    request("SH", "EXAMPLES"),
    literal(EXAMPLE),
    request("SH", "SEE ALSO"),
    seeAlso(["entrepot-serve"]),
  ];
  return { name: "entrepot.yaml", section: 5, text: `${lines.join("\n")}\n` };
}

const EXAMPLE = [
  "listen: 0.0.0.0:5000",
  "storage:",
  "  maxSize: 100GiB",
  "upstreams:",
  "  docker.io:",
  "    auth: { username: me, passwordFile: /run/secrets/hub }",
  "  ghcr.io: { port: 5010 }",
];

const EXIT_STATUS = [
  request("SH", "EXIT STATUS"),
  text(
    "0 for success, 1 for a failure or a problem found, 2 for an invalid command line, 130 after Ctrl-C.",
  ),
];

function head(name: string, number: 1 | 5, date: Date, description: string): string[] {
  const day = date.toISOString().slice(0, 10);
  const manual = number === 1 ? "User Commands" : "File Formats";
  return [
    // Not escaped: programs read the date.
    `${request("TH", name.toUpperCase(), String(number))} ${day} "Entrepot ${version}" "${manual}"`,
    // Otherwise a page on a narrow terminal has gaps between its words, and words that are split.
    ".nh",
    ".ad l",
    request("SH", "NAME"),
    `${text(name)} \\- ${text(description)}`,
  ];
}

function overridden(flag: string, key: string): string {
  if (key === "") return `The configuration file, instead of which \`${flag}\` can be given.`;
  return flag === ""
    ? `Overrides \`${key}\`.`
    : `Overrides \`${key}\`, and is overridden by \`${flag}\`.`;
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [request("SH", title), ...lines];
}

function synopsis({ options, arguments: all, commands }: CommandNode): string {
  return [
    ...(options.length > 0 ? [`[${italic("options")}]`] : []),
    ...(commands.length > 0 ? [italic("command")] : []),
    ...all.map(placeholder),
  ].join(" ");
}

function placeholder({ name, isRequired, isVariadic }: ParameterNode): string {
  const shown = `${italic(name)}${isVariadic ? "..." : ""}`;
  return isRequired ? shown : `[${shown}]`;
}

function commandEntry({ path, description }: CommandNode): string[] {
  return [".TP", `${bold(pageOf(path))}(1)`, text(sentence(description))];
}

function argumentEntry({ description, known, ...argument }: CommandNode["arguments"][number]) {
  const values = known.filter(({ title }) => title === "").map(({ value }) => `\`${value}\``);
  const list = values.length > 0 ? ` One of ${values.join(", ")}.` : "";
  return [
    ".TP",
    placeholder({ ...argument, known, isRequired: true }),
    text(`${sentence(description)}${list}`),
  ];
}

function optionEntry({ flags, value, description, default: initial }: OptionNode): string[] {
  const term = flags.map((flag) => bold(flag)).join(", ");
  const values = (value?.known ?? []).map((one) => `\`${one.value}\``).join(", ");
  const more = [
    ...(values === "" ? [] : [`One of ${values}.`]),
    ...(initial === undefined ? [] : [`Default: \`${initial}\`.`]),
  ];
  return [
    ".TP",
    value ? `${term} ${placeholder(value)}` : term,
    text([sentence(description), ...more].join(" ")),
  ];
}

function keyEntry({ name, type, description }: DocumentedKey): string[] {
  return [".TP", `${bold(name)} (${text(type)})`, text(description)];
}

/** The sections that the help adds: their titles end in a colon, their lines are kept. */
function notes(help: string): string[] {
  return help
    .split(/\n{2,}/)
    .filter((block) => block !== "")
    .flatMap((block) => {
      const [first = "", ...lines] = block.split("\n");
      if (!first.endsWith(":") || lines.length === 0) return [".PP", text(block)];
      const unindented = lines.map((line) => line.replace(/^ {2}/, ""));
      return [request("SH", first.slice(0, -1).toUpperCase()), literal(unindented)];
    });
}

function seeAlso(names: readonly string[]): string {
  const pages = names.map((name) => `${bold(name)}(1)`);
  return [...pages, `${bold("entrepot.yaml")}(5)`].join(", ");
}

function pageOf(path: readonly string[]): string {
  return ["entrepot", ...path].join("-");
}

function sentence(plain: string): string {
  const upper = plain.slice(0, 1).toUpperCase() + plain.slice(1);
  return /[.!?]$/.test(upper) ? upper : `${upper}.`;
}

/** As the name of a page is described: without a capital and a full stop. */
function lowered(plain: string): string {
  return (plain.slice(0, 1).toLowerCase() + plain.slice(1)).replace(/\.$/, "");
}
