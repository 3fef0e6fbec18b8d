import type { ImportedConfig, Origin } from "../../foreign/imported-config.ts";
import type { ReadText } from "../../parsing/read-text.ts";
import { bareContainer, type Container, isRegistry } from "../container/container.ts";
import {
  type HostFolders,
  parseMountFields,
  parseVariable,
  parseVolume,
} from "../container/notation.ts";
import { readContainer } from "../container/read-container.ts";
import { mark } from "../container/unresolved.ts";
import type { RegistrySettings, Setting } from "../registry-settings.ts";

const RUN = /(?:^|[\s;&|(])(?:docker|podman|nerdctl)\s+(?:container\s+)?(?:run|create)\s/;

/** Flags of `docker run` without a value. All others take one. */
const FLAGS_WITHOUT_VALUE = new Set(
  "-d --detach --rm -i --interactive -t --tty -it -ti --init --privileged --read-only --no-healthcheck -P --publish-all -q --quiet --oom-kill-disable --sig-proxy".split(
    " ",
  ),
);

/** Whether a text has a command line of `docker run`, `podman run` or `nerdctl run`. */
export function hasDockerRun(text: string): boolean {
  return logicalLines(text).some(({ line }) => RUN.test(line));
}

/** Reads the registries that the `docker run` command lines of a script start. */
export function readDockerRun(
  file: string,
  text: string,
  folders: HostFolders,
  readFile: ReadText,
  imported: ImportedConfig,
): RegistrySettings[] {
  const found: RegistrySettings[] = [];
  for (const { line, number } of logicalLines(text)) {
    const origin = (what: string): Origin => ({ file, line: number, column: 1, what });
    // A line may have several commands, separated by ; or &&.
    for (const run of line.split(RUN).slice(1)) {
      const container = containerOf(shellWords(run), origin, folders, imported);
      const registry = container && readContainer(container, readFile, imported);
      if (registry) found.push(registry);
    }
  }
  if (found.length === 0 && imported.problems.length === 0) {
    imported.reject(
      { file, line: 1, column: 1, what: "" },
      "no `run` command line has the image registry:2 or registry:3",
    );
  }
  return found;
}

function containerOf(
  args: readonly string[],
  origin: (what: string) => Origin,
  folders: HostFolders,
  imported: ImportedConfig,
): Container | undefined {
  const lists: Record<string, Setting[]> = {
    "-e": [],
    "-p": [],
    "-v": [],
    "--env-file": [],
    "--mount": [],
  };
  let isOnHostNetwork = false;
  let position = 0;
  for (; position < args.length; position += 1) {
    // `-dp 5000:5000` is `-d -p 5000:5000`.
    const arg = (args[position] ?? "").replace(/^-[ditPq]+(?=[a-zA-Z])/, "-");
    if (!arg.startsWith("-")) break;
    if (FLAGS_WITHOUT_VALUE.has(arg)) continue;
    const [flag = "", ...attached] = arg.startsWith("--")
      ? arg.split("=")
      : [arg.slice(0, 2), arg.slice(2)];
    const isAttached = arg.startsWith("--") ? attached.length > 0 : arg.length > 2;
    if (!isAttached) position += 1;
    const value = isAttached ? attached.join("=").replace(/^=/, "") : (args[position] ?? "");
    const short = { "--env": "-e", "--publish": "-p", "--volume": "-v" }[flag] ?? flag;
    lists[short]?.push({ value, from: origin(`${short} ${value}`) });
    if (/^--net(?:work)?$/.test(flag) && value === "host") isOnHostNetwork = true;
  }
  const image = args[position] ?? "";
  const plain = (settings: readonly Setting[] | undefined): Setting[] =>
    (settings ?? []).map(({ value, from }) => ({ value: withMarks(value), from }));
  const container: Container = {
    ...bareContainer(origin(image), image),
    command: args.slice(position + 1).map(withMarks),
    environment: plain(lists["-e"]).map(({ value, from }) =>
      // Origins are printed, and the value may be a password.
      parseVariable(value, { ...from, what: `-e ${value.split("=")[0]}` }),
    ),
    ports: plain(lists["-p"]),
    mounts: [
      ...plain(lists["-v"]).map(({ value, from }) => parseVolume(value, from, folders)),
      ...plain(lists["--mount"]).map(({ value, from }) => parseMountFields(value, from, folders)),
    ].filter((mount) => mount !== undefined),
    isOnHostNetwork,
  };
  if (!isRegistry(container)) return undefined;
  for (const { from } of lists["--env-file"] ?? []) {
    imported.reject(from, "is not supported: write the variables as -e NAME=VALUE");
  }
  return container;
}

/**
 * Joins lines that end in a backslash with the next one. Each has the number of its first line.
 * Omits comments.
 */
function logicalLines(text: string): { line: string; number: number }[] {
  const lines: { line: string; number: number }[] = [];
  let unfinished: { line: string; number: number } | undefined;
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const current = unfinished ?? { line: "", number: index + 1 };
    const isContinued = raw.endsWith("\\");
    current.line += isContinued ? `${raw.slice(0, -1)} ` : raw;
    unfinished = isContinued ? current : undefined;
    if (!unfinished && !/^\s*#/.test(current.line)) lines.push(current);
  }
  if (unfinished) lines.push(unfinished);
  return lines;
}

/** Replaces dollar signs that are literal for a shell, so that `hasVariable` only finds real variables. */
const DOLLAR = "\u{E002}";

/** Splits a command line into words, and removes quotes and escapes. */
function shellWords(text: string): string[] {
  return [...text.matchAll(/(?:[^\s"';&|]|"[^"]*"|'[^']*')+/g)].map(([word]) =>
    word.replaceAll(
      /"([^"]*)"|'([^']*)'|\\\$/g,
      (_, double: string | undefined, single: string | undefined) =>
        double?.replaceAll("\\$", DOLLAR) ?? (single ?? "$").replaceAll("$", DOLLAR),
    ),
  );
}

/** Marks variables, except for the working directory, and restores literal dollar signs. */
function withMarks(value: string): string {
  return value
    .replace(/^(?:\$HOME|\$\{HOME\})(?=\/|:|$)/, "~")
    .replace(/^(?:\$PWD|\$\{PWD\}|\$\(pwd\))(?=\/|:|$)/, ".")
    .replaceAll(/\$(?:\{[^}]*\}|[A-Za-z_]\w*|\([^)]*\))/g, mark)
    .replaceAll(DOLLAR, "$");
}
