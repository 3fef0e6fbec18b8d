import type { ImportedConfig, Origin } from "../foreign/imported-config.ts";
import type { ReadText } from "../parsing/read-text.ts";
import {
  type Container,
  hasVariable,
  isRegistry,
  readContainer,
  type Variable,
} from "./container.ts";
import type { Fact, RegistrySettings } from "./registry-settings.ts";

const RUN = /(?:^|[\s;&|(])(?:docker|podman|nerdctl)\s+(?:container\s+)?(?:run|create)\s/;

/** Flags of `docker run` that stand alone; all others take a value. */
const ALONE = new Set(
  "-d --detach --rm -i --interactive -t --tty -it -ti --init --privileged --read-only --no-healthcheck -P --publish-all -q --quiet --oom-kill-disable --sig-proxy".split(
    " ",
  ),
);

export function hasRunLines(text: string): boolean {
  return joinedLines(text).some(({ line }) => RUN.test(line));
}

/** The registries that are started by `docker run` lines of a script or a page of notes. */
export function readRunLines(
  file: string,
  text: string,
  folder: string,
  readFile: ReadText,
  draft: ImportedConfig,
): RegistrySettings[] {
  const found: RegistrySettings[] = [];
  for (const { line, number } of joinedLines(text)) {
    const origin = (what: string): Origin => ({ file, line: number, column: 1, what });
    // Several may stand in a line, with ; or && between them.
    for (const run of line.split(RUN).slice(1)) {
      const container = containerOf(words(run), origin, draft);
      if (container) found.push(readContainer(container, folder, readFile, draft));
    }
  }
  if (found.length === 0 && draft.problems.length === 0) {
    draft.refuse(
      { file, line: 1, column: 1, what: "" },
      "none of its `run` lines is of the image registry:2 or registry:3",
    );
  }
  return found;
}

function containerOf(
  args: readonly string[],
  origin: (what: string) => Origin,
  draft: ImportedConfig,
): Container | undefined {
  const lists: Record<string, Fact[]> = {
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
    if (ALONE.has(arg)) continue;
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
  const plain = (facts: readonly Fact[] | undefined): Fact[] =>
    (facts ?? []).map(({ value, from }) => ({ value: unquoted(value), from }));
  const container = {
    from: origin(image),
    image,
    environment: (lists["-e"] ?? []).map(withoutSecret),
    ports: plain(lists["-p"]),
    volumes: [...plain(lists["-v"]), ...plain(lists["--mount"]).map(mountAsVolume)],
    isOnHostNetwork,
  };
  if (!isRegistry(container)) return undefined;
  for (const { from } of lists["--env-file"] ?? []) {
    draft.refuse(from, "is not read: write its variables out as -e NAME=VALUE");
  }
  return container;
}

/** The origin is printed, and a password must not be. */
function withoutSecret({ value, from }: Fact): Variable {
  const what = `-e ${value.split("=")[0]}`;
  return { value: unquoted(value), from: { ...from, what }, isOpen: hasVariable(value) };
}

/** `type=bind,source=/srv/x,target=/var/lib/registry` as `/srv/x:/var/lib/registry`. */
function mountAsVolume({ value, from }: Fact): Fact {
  const fields = new Map(
    value.split(",").map((field) => [field.split("=")[0], field.split("=")[1]]),
  );
  const of = (...names: string[]): string =>
    names.map((name) => fields.get(name)).find((one) => one !== undefined) ?? "";
  return { value: `${of("source", "src")}:${of("target", "destination", "dst")}`, from };
}

/** Lines with those that a backslash continues, each with the number of its first. */
function joinedLines(text: string): { line: string; number: number }[] {
  const joined: { line: string; number: number }[] = [];
  let open: { line: string; number: number } | undefined;
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const current = open ?? { line: "", number: index + 1 };
    const isContinued = raw.endsWith("\\");
    current.line += isContinued ? `${raw.slice(0, -1)} ` : raw;
    open = isContinued ? current : undefined;
    if (!open && !/^\s*#/.test(current.line)) joined.push(current);
  }
  if (open) joined.push(open);
  return joined;
}

/** Stands for a dollar sign that a shell leaves alone, until it is known what is a variable. */
const DOLLAR = "\u{E000}";

/** A command's words, as far as a shell's quotes go. */
function words(text: string): string[] {
  return [...text.matchAll(/(?:[^\s"';&|]|"[^"]*"|'[^']*')+/g)].map(([word]) =>
    word.replaceAll(
      /"([^"]*)"|'([^']*)'|\\\$/g,
      (_, double: string | undefined, single: string | undefined) =>
        double?.replaceAll("\\$", DOLLAR) ?? (single ?? "$").replaceAll("$", DOLLAR),
    ),
  );
}

function unquoted(value: string): string {
  return value.replaceAll(DOLLAR, "$");
}
