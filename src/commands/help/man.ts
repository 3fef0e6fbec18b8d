import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { Command } from "commander";
import { printable } from "../../printable.ts";
import { usageErrorCode } from "../usage-error.ts";
import { commandTree } from "./command-tree.ts";
import { type ManPage, manPages } from "./man-pages.ts";

interface ManOptions {
  readonly output?: string;
}

/** @param program loads the program with all of its commands */
export function manCommand(program: () => Promise<Command>): Command {
  return new Command("man")
    .description("show the manual page of a command, or write all of them")
    .argument("[words...]", "the command, such as node apply, or entrepot.yaml")
    .option("--output <dir>", "write all pages below this directory, into man1 and man5")
    .addHelpText("after", EXAMPLES)
    .action(async (words: string[], { output }: ManOptions, command: Command) => {
      if (output !== undefined && words.length > 0) {
        command.error(`error: --output writes all pages: leave out ${words.join(" ")}`);
      }
      const pages = manPages(commandTree(await program()), pageDate());
      process.exitCode = output === undefined ? show(pages, words) : writeAll(pages, output);
    });
}

const EXAMPLES = `
Examples:
  entrepot man node apply                    show entrepot-node-apply(1)
  entrepot man entrepot.yaml                 show the configuration's page
  entrepot man --output /usr/local/share/man install all pages`;

/** Builds that must be reproducible set their date: https://reproducible-builds.org/specs/source-date-epoch */
function pageDate(): Date {
  const seconds = Number(process.env["SOURCE_DATE_EPOCH"] || Number.NaN);
  return Number.isSafeInteger(seconds) ? new Date(seconds * 1000) : new Date();
}

function show(pages: readonly ManPage[], words: readonly string[]): number {
  const wanted = words.join("-").replace(/^entrepot-/, "");
  const page = pages.find(({ name }) => name === wanted || name === `entrepot-${wanted}`);
  const found = wanted === "" || wanted === "entrepot" ? pages[0] : page;
  if (!found) {
    const names = pages.map(({ name }) => name).join(", ");
    process.stderr.write(
      `entrepot: there is no page ${printable(words.join(" "))}. There are: ${names}\n`,
    );
    return usageErrorCode();
  }
  if (!process.stdout.isTTY || !formatted(found)) process.stdout.write(found.text);
  return 0;
}

/** Lets man format a page for the terminal. False if there is no man. */
function formatted({ text }: ManPage): boolean {
  if (Bun.which("man") === null) return false;
  const stdin = new Blob([text]);
  const { exitCode } = Bun.spawnSync(["man", "-l", "-"], {
    stdin,
    stdout: "inherit",
    stderr: "ignore",
  });
  return exitCode === 0;
}

function writeAll(pages: readonly ManPage[], folder: string): number {
  for (const { name, section, text } of pages) {
    const file = path.join(folder, `man${section}`, `${name}.${section}`);
    try {
      mkdirSync(path.dirname(file), { recursive: true });
      writeFileSync(file, text, { mode: 0o644 });
    } catch (cause) {
      const code = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
      process.stderr.write(
        `entrepot: ${printable(file)} cannot be written (${code}): is --output a directory that you can write to?\n`,
      );
      return 1;
    }
  }
  process.stderr.write(`wrote ${pages.length} pages below ${printable(folder)}\n`);
  return 0;
}
