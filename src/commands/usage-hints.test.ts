import { expect, test } from "bun:test";
import { type Command, CommanderError } from "commander";
import { COMMANDS, commandOf } from "./commands.ts";
import { program, unknownInHelp } from "./program.ts";

/** What is printed for a command line that is not valid. */
async function errorOf(...args: readonly string[]): Promise<string> {
  let printed = "";
  const whole = program(await Promise.all(Object.values(COMMANDS).map((load) => load())));
  const capture = (command: Command): void => {
    command.configureOutput({
      writeErr: (text) => {
        printed += text;
      },
    });
    command.commands.forEach(capture);
  };
  capture(whole);
  const argv = process.argv;
  process.argv = ["bun", "entrepot", ...args];
  try {
    await whole.parseAsync(unknownInHelp(whole, args), { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
  } finally {
    process.argv = argv;
  }
  return printed;
}

const usage = (command: string, parameters: string): string =>
  `Usage: ${command} ${parameters}\nSee:   ${command} --help\n`;

const cases: [args: string[], expected: string][] = [
  [
    ["purge"],
    `error: missing required argument 'pattern'
pattern: docker.io/library/nginx:1.29, or with * for any characters
${usage("entrepot purge", "[options] <pattern>")}`,
  ],
  [
    ["render", "contaierd"],
    `error: command-argument value 'contaierd' is invalid for argument 'target'. Write one of LIST.
(Did you mean containerd?)
${usage("entrepot render", "[options] <target>")}`,
  ],
  [
    ["render", "it's\n'odd'"],
    `error: command-argument value 'it's\\u000a'odd'' is invalid for argument 'target'. Write one of LIST.
${usage("entrepot render", "[options] <target>")}`,
  ],
  [
    ["node", "apply", "--cach=http://cache:5000"],
    `error: required option '--cache <url>' not specified
--cache <url>: the cache as the node reaches it: http://host:port
(Did you mean --cache?)
${usage("entrepot node apply", "[options]")}`,
  ],
  [
    ["render", "systemd", "--output"],
    `error: option '--output <dir>' argument missing
--output <dir>: write the files below this directory instead of printing them
${usage("entrepot render", "[options] <target>")}`,
  ],
  [
    ["serve", "--lisen", "x"],
    `error: unknown option '--lisen'
(Did you mean --listen?)
${usage("entrepot serve", "[options]")}`,
  ],
  [
    ["a\u001b[31m\n(Did you mean rm?)"],
    `error: unknown command 'a\\u001b[31m\\u000a(Did you mean rm?)'
${usage("entrepot", "[options] [command]")}`,
  ],
  [
    ["man", "--output", ""],
    `error: option '--output <dir>' argument is empty
--output <dir>: write all pages below this directory, into man1 and man5
${usage("entrepot man", "[options] [words...]")}`,
  ],
  [
    ["man", "node", "--output", "pages"],
    `error: --output writes all pages: leave out node
${usage("entrepot man", "[options] [words...]")}`,
  ],
  [
    ["node", "rollback", "--state-dir="],
    `error: option '--state-dir <dir>' argument is empty
--state-dir <dir>: directory of the journal (default: /var/lib/entrepot/node)
${usage("entrepot node rollback", "[options]")}`,
  ],
  [
    ["import", "config.yml", ""],
    `error: a file is empty: write its path
${usage("entrepot import", "[options] <file...>")}`,
  ],
  [
    ["render", "kaniko", "--cache", "http://$(id):5000"],
    `error: option '--cache <url>' argument 'http://$(id):5000' is invalid. Write scheme, host and port only, such as http://192.168.1.10:5000.
${usage("entrepot render", "[options] <target>")}`,
  ],
  [
    ["pin", "--platform", "linux/amd64", "docker.io/library/nginx:1"],
    `error: --platform takes all words after it, and no pattern is left: write the pattern first
${usage("entrepot pin", "[options] [pattern]")}`,
  ],
  ...[
    ["help", "stauts"],
    ["stauts", "--help"],
  ].map((args): [string[], string] => [
    args,
    `error: unknown command 'stauts'
(Did you mean status?)
${usage("entrepot", "[options] [command]")}`,
  ]),
  [
    ["version"],
    `error: unknown command 'version'
(Did you mean --version?)
${usage("entrepot", "[options] [command]")}`,
  ],
];

test.each(cases)("%j says what is missing or meant, and how it is used", async (args, expected) => {
  const printed = await errorOf(...args);
  expect(printed.replace(/(?<=Write one of ).*(?=\.\n)/, "LIST")).toBe(expected);
});

test.each(["constructor", "toString", "__proto__", ""])("%j is no command", (name) => {
  expect(commandOf(name)).toBeUndefined();
});

test("render without a target lists the targets", async () => {
  const printed = await errorOf("render");
  expect(printed).toStartWith("error: missing required argument 'target'\ntarget: the runtime,");
  expect(printed).toContain(" --cache http://192.168.1.10:5000\n  containerd       containerd, ");
  expect(printed).toEndWith(`newer\n${usage("entrepot render", "[options] <target>")}`.slice(6));
});
