import { expect, test } from "bun:test";
import { Command, Option } from "commander";
import { wholeProgram } from "../commands.ts";
import { commandTree } from "./command-tree.ts";
import { type ManPage, manPages } from "./man-pages.ts";
import { realTest } from "../../../test/harness/real-components.ts";

const DATE = new Date("2026-01-02T03:04:05Z");

/** Runs a formatter of manual pages on one. */
function format(page: ManPage, ...command: string[]): { out: string; complaints: string } {
  const stdin = Buffer.from(page.text);
  const { stdout, stderr } = Bun.spawnSync(command, { stdin, stdout: "pipe", stderr: "pipe" });
  return { out: stdout.toString(), complaints: stderr.toString() };
}

/** As a terminal shows it, without bold and underlined characters. */
function shown(page: ManPage): string {
  const parts = format(page, "mandoc", "-T", "utf8", "-O", "width=200").out.split("\b");
  return parts
    .map((part, index) => part.slice(0, index < parts.length - 1 ? -1 : undefined))
    .join("");
}

test("there is a page for each command and for the configuration file", async () => {
  const pages = manPages(commandTree(await wholeProgram()), DATE);
  const names = pages.map(({ name, section }) => `${name}(${section})`);
  for (const name of ["entrepot(1)", "entrepot-serve(1)", "entrepot-node-apply(1)"]) {
    expect(names).toContain(name);
  }
  expect(names.at(-1)).toBe("entrepot.yaml(5)");
  expect(names.filter((name) => /help|__/.test(name))).toEqual([]);
});

realTest("mandoc and groff accept every page, and each page that it refers to exists", async () => {
  const pages = manPages(commandTree(await wholeProgram()), DATE);
  const names = new Set(pages.map(({ name, section }) => `${name}(${section})`));
  for (const page of pages) {
    const linted = format(page, "mandoc", "-T", "lint", "-W", "warning");
    const groff = format(page, "groff", "-man", "-ww", "-Tutf8", "-z");
    expect({ page: page.name, linted, groff }).toEqual({
      page: page.name,
      linted: { out: "", complaints: "" },
      groff: { out: "", complaints: "" },
    });
    const [, references = ""] = /SEE ALSO\n([\s\S]+)/.exec(shown(page)) ?? [];
    const referred = references.match(/entrepot[\w.-]*\(\d\)/g) ?? [];
    expect(referred.filter((name) => !names.has(name))).toEqual([]);
  }
  const serve = pages.find(({ name }) => name === "entrepot-serve") ?? expect.unreachable();
  expect(shown(serve)).toContain("--log-level level");
  expect(shown(serve)).toContain("One of debug, info, warn, error. Default: info.");
});

realTest("text that roff would take for a request or an escape is shown as it is", () => {
  const odd = `.SH it's "quoted" a\\fB\\n(.x \\(bu -- x^y~z \`code\` 'TP é → …`;
  const program = new Command("entrepot").description("odd").addCommand(
    new Command("one")
      .description(odd)
      .argument("<what>", ".TH first")
      .option("--switch", `'br ${odd}`)
      .addOption(new Option("--name <x>", "\\").choices([".a", "'b"]))
      .addHelpText("after", "\nExamples:\n  .SH no section\n  '\\\\fI x"),
  );
  const [, page = expect.unreachable()] = manPages(commandTree(program), DATE);
  const text = shown(page);
  const plain = odd.replaceAll("`", "");
  expect(text).toContain(`entrepot-one - ${plain}`);
  expect(text).toContain(`'br ${plain}.`);
  expect(text).toContain(".TH first.");
  expect(text).toContain("One of .a, 'b.");
  expect(text).toContain(".SH no section");
  expect(text).toContain("'\\\\fI x");
  expect(format(page, "mandoc", "-T", "lint", "-W", "warning").out).toBe("");
});
