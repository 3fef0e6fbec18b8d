import type { ImportedConfig, Origin } from "../../foreign/imported-config.ts";
import type { ReadText } from "../../parsing/read-text.ts";
import {
  bareContainer,
  type Container,
  isRegistry,
  isRegistryImage,
  mayBeRegistry,
  SETTINGS_IN_IMAGE,
  type Variable,
} from "../container/container.ts";
import { readEnvFile } from "../container/env-file.ts";
import {
  type HostFolders,
  parseMountFields,
  parseVariable,
  parseVolume,
} from "../container/notation.ts";
import { asWritten, unresolvedIn } from "../container/unresolved.ts";
import type { Setting } from "../registry-settings.ts";
import { globalTakesNext, parseOption } from "./run-flags.ts";
import { suspectWord } from "./other-starts.ts";
import type { ShellWord } from "./shell-values.ts";

const PROGRAMS = new Set(["docker", "podman", "nerdctl"]);
const VERBS = new Set(["run", "create"]);
/** More words than any wrapper such as `sudo` has before the program. */
const MAX_WORDS_BEFORE = 32;

/** Where the options of a container begin in a command. */
export interface RunCommand {
  /** `docker`, `podman` or `nerdctl`. */
  readonly program: string;
  readonly args: readonly ShellWord[];
  readonly line: number;
  /** What the command has in its environment, as far as it is known. */
  readonly environment?: ReadonlyMap<string, string> | undefined;
}

/** The verb of a container engine in a command, `run` or `stop`, and what follows it. */
export interface EngineCommand {
  /** `docker`, also if that is not known. */
  readonly program: string;
  readonly verb: string;
  readonly args: readonly ShellWord[];
}

/**
 * Finds a container engine in a command, also behind `sudo`, `env` and the like, by any path, and
 * with options before its verb. `docker container run` has the verb `run`.
 */
export function engineCommand(words: readonly ShellWord[]): EngineCommand | undefined {
  for (const [index, { text }] of words.slice(0, MAX_WORDS_BEFORE).entries()) {
    const name = text.slice(text.lastIndexOf("/") + 1);
    const isKnown = PROGRAMS.has(name);
    if (!isKnown && unresolvedIn(text) === undefined) continue;
    const rest = afterOptions(words.slice(index + 1));
    const [verb] = rest;
    // A program in an unknown variable, `$DOCKER run`, is one if its verb says so.
    if (!isKnown && !VERBS.has(verb?.text ?? "")) continue;
    if (!verb) return undefined;
    const program = isKnown ? name : "docker";
    if (verb.text !== "container") return { program, verb: verb.text, args: rest.slice(1) };
    const inner = afterOptions(rest.slice(1));
    return { program, verb: inner[0]?.text ?? "", args: inner.slice(1) };
  }
  return undefined;
}

/** Whether a verb of a container engine starts or prepares a container. */
export function startsContainer({ verb }: EngineCommand): boolean {
  return VERBS.has(verb);
}

function afterOptions(words: readonly ShellWord[]): readonly ShellWord[] {
  let position = 0;
  for (; position < words.length; position += 1) {
    const { text = "", isOpen = false } = words[position] ?? {};
    if (!text.startsWith("-") && !isOpen) break;
    if (globalTakesNext(text)) position += 1;
  }
  return words.slice(position);
}

interface RunOptions {
  readonly options: ReadonlyMap<string, readonly Setting[]>;
  readonly image: ShellWord | undefined;
  readonly command: readonly string[];
  /** Words that stand for options which are not known: `$OPTS`. */
  readonly open: readonly ShellWord[];
}

/** Reads what follows `run` or `create`. */
function readOptions(
  args: readonly ShellWord[],
  origin: (line: number, what: string) => Origin,
): RunOptions {
  const options = new Map<string, Setting[]>();
  const open: ShellWord[] = [];
  let position = 0;
  for (; position < args.length; position += 1) {
    const word = args[position];
    if (!word) break;
    if (word.isOpen) {
      open.push(word);
      continue;
    }
    if (word.text === "--") {
      position += 1;
      break;
    }
    if (!word.text.startsWith("-") || word.text === "-") break;
    const next = args[position + 1];
    const { name, attached, takesNext } = parseOption(word.text, next?.text, isRegistryImage);
    if (takesNext) position += 1;
    const value = attached ?? (takesNext ? next?.text : undefined) ?? "";
    const list = options.get(name) ?? [];
    // Origins are printed, and the value of a variable may be a password.
    const shown = name === "--env" ? value.split("=", 1)[0] : asWritten(value);
    list.push({ value, from: origin(word.line, `${shortOf(name)} ${shown}`.trimEnd()) });
    options.set(name, list);
  }
  return {
    options,
    image: args[position],
    command: args.slice(position + 1).map(({ text }) => text),
    open,
  };
}

function shortOf(name: string): string {
  return { "--env": "-e", "--publish": "-p", "--volume": "-v" }[name] ?? name;
}

/**
 * Reads a container from what follows `run` or `create`. Returns undefined for a container that is
 * no registry, and reports what may be one and is not understood.
 */
export function readRun(
  { program, args, line, environment }: RunCommand,
  file: string,
  folders: HostFolders,
  readFile: ReadText,
  imported: ImportedConfig,
): Container | undefined {
  const origin = (at: number, what: string): Origin => ({ file, line: at, column: 1, what });
  const { options, image, command, open } = readOptions(args, origin);
  const of = (name: string): readonly Setting[] => options.get(name) ?? [];
  const from = origin(line, asWritten(image?.text ?? ""));
  const variables = of("--env").map((one): Variable => {
    const { name, value, from: at } = parseVariable(one.value, one.from);
    // A name alone has its value from the environment of the command.
    return { name, value: value ?? environment?.get(name), from: at };
  });
  const entrypoint = of("--entrypoint").at(-1)?.value;
  const name = of("--name").at(-1)?.value;
  const container: Container = {
    ...bareContainer(from, image?.text ?? ""),
    runsIn: name === undefined ? undefined : { program, container: asWritten(name) },
    entrypoint: entrypoint === undefined ? undefined : entrypointWords(entrypoint),
    command,
    environment: variables,
    ports: of("--publish"),
    mounts: [
      ...of("--volume").map((one) => parseVolume(one.value, one.from, folders)),
      ...of("--mount").map((one) => parseMountFields(one.value, one.from, folders)),
    ].filter((mount) => mount !== undefined),
    network:
      of("--pod").map(({ value, from: at }) => ({ value: `pod:${value}`, from: at }))[0] ??
      of("--network").at(-1),
    publishesAll: of("--publish-all").at(-1),
    extraHosts: of("--add-host"),
    nameServers: of("--dns"),
    user: of("--user").at(-1)?.value,
  };
  const isPossible = image !== undefined && unresolvedIn(image.text) === undefined;
  const looksLikeRegistry = args.some(({ text }) => isRegistryImage(text) && text !== "registry");
  if (!isPossible) {
    const what = image
      ? asWritten(image.text)
      : open.map(({ text }) => asWritten(text)).join(" ") || "which is missing";
    imported.reject(
      { ...from, what: "" },
      `the image of this container, ${what}, is not known: write it out, or remove the command if it starts no registry`,
    );
    return undefined;
  }
  if (!isRegistry(container)) {
    const suspect = suspectWord(args);
    if (looksLikeRegistry && open.length > 0) rejectOpen(open, from, imported);
    else if (suspect) {
      const what = { ...from, what: asWritten(suspect.text.split("=", 1)[0] ?? "") };
      imported.reject(
        what,
        `the options of this container are not understood: its image seems to be ${asWritten(image.text)}`,
      );
    } else if (mayBeRegistry(container)) imported.warn(from, SETTINGS_IN_IMAGE, "registry");
    return undefined;
  }
  for (const { from: at } of of("--volumes-from")) {
    imported.warn(at, "has the mounts of another container, which are not imported", "clients");
  }
  if (open.length > 0) {
    rejectOpen(open, from, imported);
    return undefined;
  }
  const filed = of("--env-file").flatMap(({ value, from: at }): readonly Variable[] =>
    readEnvFile(value, at, folders, readFile, imported),
  );
  return { ...container, environment: [...filed, ...variables] };
}

function rejectOpen(open: readonly ShellWord[], from: Origin, imported: ImportedConfig): void {
  const names = open.map(({ text }) => asWritten(text)).join(", ");
  imported.reject(from, `has options in ${names}, whose value is not known: write them out`);
}

/** Docker takes a program or a JSON list. */
function entrypointWords(text: string): readonly string[] {
  const list = /^\s*\[([\s\S]*)\]\s*$/.exec(text)?.[1];
  if (list === undefined) return [text];
  return [...list.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, word = ""]) => word);
}
