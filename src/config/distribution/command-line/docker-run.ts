import type { ImportedConfig } from "../../foreign/imported-config.ts";
import type { ReadText } from "../../parsing/read-text.ts";
import type { HostFolders } from "../container/notation.ts";
import { readContainer } from "../container/read-container.ts";
import { withoutMarks } from "../container/unresolved.ts";
import type { RegistrySettings } from "../registry-settings.ts";
import { isHarmless, startedElsewhere, suspectWord } from "./other-starts.ts";
import { engineCommand, readRun, startsContainer } from "./run-command.ts";
import { ScriptReader, type ShellCommand } from "./script.ts";
import type { ShellWord } from "./shell-values.ts";

const RUN = /\b(?:docker|podman|nerdctl)\b[^\n;&|]{0,500}?\s(?:run|create)\s/;
/** The image of a registry in a Compose file, a manifest or a Quadlet unit. */
const IMAGE = /^\s*(?:image:|Image=)\s*["']?\S*\bregistry\b/m;
const SHELL = /^#!.*\b(?:ba|da|k|z|a)?sh\b/;
/** How often a command may be inside the quoted argument of another. */
const MAX_NESTING = 3;

/** Whether the first line says that a shell runs the file. */
export function isShellScript(text: string): boolean {
  return SHELL.test(text);
}

/** Whether a text has a command line of `docker run`, `podman run` or `nerdctl run`. */
export function hasDockerRun(text: string): boolean {
  return RUN.test(text.replaceAll(/\\\r?\n/g, " ").replaceAll(/^\s*#.*$/gm, ""));
}

/** Reads the registries that the `docker run` command lines of a script start. */
export function readDockerRun(
  file: string,
  text: string,
  folders: HostFolders,
  readFile: ReadText,
  imported: ImportedConfig,
): RegistrySettings[] {
  const search = new RegistrySearch(folders, readFile, imported);
  search.read(file, withoutMarks(text));
  if (search.found.length === 0 && imported.problems.length === 0) {
    imported.reject(
      { file, line: 1, column: 1, what: "" },
      "no `run` command line has the image registry:2 or registry:3",
    );
  }
  return search.found;
}

/** Looks for registries in the commands of scripts and of other files. */
export class RegistrySearch {
  readonly found: RegistrySettings[] = [];
  readonly #folders: HostFolders;
  readonly #readFile: ReadText;
  readonly #imported: ImportedConfig;
  #nesting = 0;

  constructor(folders: HostFolders, readFile: ReadText, imported: ImportedConfig) {
    this.#folders = folders;
    this.#readFile = readFile;
    this.#imported = imported;
  }

  read(file: string, text: string, firstLine = 1): void {
    const reader = new ScriptReader(this.#folders, this.#readFile, {
      command: (command) => this.command(command),
      document: (name, line, document) => {
        if (IMAGE.test(document) || RUN.test(document)) {
          this.#reject(name, line, "this text starts containers: import it as a file of its own");
        }
      },
      tooLong: (name) => this.#reject(name, 1, "the script has too many commands to follow"),
    });
    reader.read(file, text, firstLine);
  }

  /** Looks at one command. */
  command({ file, words, folders = this.#folders, environment }: ShellCommand): void {
    const [program] = words;
    const name = program?.text.slice(program.text.lastIndexOf("/") + 1) ?? "";
    const engine = engineCommand(words);
    if (!program || isHarmless(name, engine?.verb)) return;
    if (engine && startsContainer(engine)) {
      const run = { ...engine, line: program.line, environment };
      const container = readRun(run, file, folders, this.#readFile, this.#imported);
      const registry = container && readContainer(container, this.#readFile, this.#imported);
      if (registry) this.found.push(registry);
      return;
    }
    const advice = startedElsewhere(name, words);
    if (advice !== undefined) {
      const from = { file, line: program.line, column: 1, what: shown(words) };
      this.#imported.warn(from, advice, "registry");
      return;
    }
    if (words.some(isNestedCommand)) this.#nested(file, words);
    else {
      const suspect = suspectWord(words);
      if (!suspect) return;
      const message = `${shown(words)} may start a registry, and is not understood: write it as \`docker run\``;
      this.#reject(file, suspect.line, message);
    }
  }

  /** Reads commands in quotes, such as those of `sh -c`, `ssh` and `su -c`. */
  #nested(file: string, words: readonly ShellWord[]): void {
    if (this.#nesting >= MAX_NESTING) return;
    this.#nesting += 1;
    for (const { text, line } of words.filter(isNestedCommand)) this.read(file, text, line);
    this.#nesting -= 1;
  }

  #reject(file: string, line: number, message: string): void {
    this.#imported.reject({ file, line, column: 1, what: "" }, message);
  }
}

function isNestedCommand({ text }: ShellWord): boolean {
  return RUN.test(text);
}

/** The beginning of a command, for messages, without what may be a secret. */
function shown(words: readonly ShellWord[]): string {
  const texts = words.slice(0, 2).map(({ text }) => text.split("=", 1)[0]);
  return `\`${texts.join(" ")}${words.length > 2 ? " …" : ""}\``;
}
