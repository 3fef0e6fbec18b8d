import {
  Document,
  isCollection,
  isMap,
  isScalar,
  isSeq,
  Scalar,
  type ToStringOptions,
  visit,
} from "yaml";
import { escapeUnprintable, isPrintable, printable, yamlEscape } from "../../printable.ts";
import { readable } from "../parsing/problems.ts";
import type { Path } from "../parsing/yaml-source.ts";
import {
  CONSEQUENCES,
  type ImportedConfig,
  type ImportedSetting,
  type Origin,
  type Warning,
} from "./imported-config.ts";

/** A YAML file with what was imported. */
export interface AnnotatedFile {
  readonly value: unknown;
  /** Where its parts come from. */
  readonly settings: readonly ImportedSetting[];
  /** Lines at its top, behind those about all that was imported. */
  readonly head?: readonly string[];
}

/**
 * Writes an imported configuration as entrepot.yaml. Comments name the origin of each setting, and
 * list the unsupported settings.
 */
export function writeConfig(imported: ImportedConfig, command: string): string {
  return writeAnnotated(imported, command, {
    value: withUpstreamsLast(imported.value),
    settings: imported.settings,
  });
}

/** The list is long. */
export function withUpstreamsLast({ upstreams, ...rest }: ImportedConfig["value"]): object {
  return { ...rest, ...(upstreams ? { upstreams } : {}) };
}

/** Writes a YAML file whose comments name the origin of each setting, and list the unsupported settings. */
export function writeAnnotated(
  imported: ImportedConfig,
  command: string,
  { value: content, settings, head = [] }: AnnotatedFile,
): string {
  const document = new Document(content);
  const further = [...imported.furtherFiles].join(", ");
  document.commentBefore = [
    `Created by: ${command}`,
    ...(further === "" ? [] : [`Also read: ${further}`]),
    ...(imported.warnings.length > 0 ? ["", "Check this first:"] : []),
    ...warningLines(imported).map((line) => `  ${line}`),
    ...(head.length > 0 ? ["", ...head] : []),
  ]
    .map((line) => (line === "" ? "" : ` ${printable(line)}`))
    .join("\n");
  const nodes = nodesIn(document);
  for (const { at, from, note } of settings) {
    const text = ` ${readable(formatOrigin(from) + (note === undefined ? "" : `: ${note}`))}`;
    const { key, value } = nodes.get(pathKey(at)) ?? {};
    if (isScalar(value)) value.comment = text;
    else if (isCollection(value)) (key ?? value).commentBefore = text;
  }
  return [
    yamlText(document),
    ...comment("These settings were not converted:", unsupportedLines(imported)),
    ...comment(`${JOBS_TITLE}:`, jobLines(imported)),
  ].join("");
}

/** Values and keys are data whatever is in them: none has a raw line break or control character. */
export function yamlText(document: Document, options: ToStringOptions = {}): string {
  visit(document, {
    Scalar: (_, scalar) => {
      const isPlain = typeof scalar.value !== "string" || isPrintable(scalar.value);
      if (!isPlain) scalar.type = Scalar.QUOTE_DOUBLE;
    },
  });
  const text = document.toString({
    ...options,
    lineWidth: 0,
    doubleQuotedMinMultiLineLength: Infinity,
  });
  // What is left of them is in double quotes, apart from the line breaks of the file itself.
  return escapeUnprintable(text, (character) =>
    character === "\n" ? character : yamlEscape(character),
  );
}

/** Formats an origin as `hub.yml:12 proxy.ttl`. */
export function formatOrigin({ file, line, what }: Origin): string {
  return file === "" ? what : `${file}:${line}${what === "" ? "" : ` ${what}`}`;
}

interface NodeEntry {
  readonly key?: Scalar;
  readonly value: unknown;
}

/** All nodes by path. Looking each up from the root takes minutes for thousands of upstreams. */
function nodesIn(document: Document): ReadonlyMap<string, NodeEntry> {
  const nodes = new Map<string, NodeEntry>();
  const add = (at: Path, entry: NodeEntry): void => {
    nodes.set(pathKey(at), entry);
    const { value } = entry;
    if (isMap(value)) {
      for (const { key, value: child } of value.items) {
        if (isScalar(key)) add([...at, String(key.value)], { key, value: child });
      }
    } else if (isSeq(value)) {
      for (const [index, child] of value.items.entries()) add([...at, index], { value: child });
    }
  };
  add([], { value: document.contents });
  return nodes;
}

function pathKey(at: Path): string {
  return at.map(String).join("\0");
}

function comment(title: string, lines: readonly string[]): string[] {
  if (lines.length === 0) return [];
  return [`\n# ${title}\n`, ...lines.map((line) => `#   ${line}\n`)];
}

/** One line per warning, the most serious first. */
export function warningLines({ warnings }: ImportedConfig): string[] {
  const rank = ({ consequence }: Warning): number => CONSEQUENCES.indexOf(consequence);
  const sorted = warnings.toSorted((a, b) => rank(a) - rank(b));
  return sorted.map(({ from, message }) => readable(`${formatOrigin(from)}: ${message}`));
}

/** One line per unsupported setting. The same setting in several files is one line with all locations. */
export function unsupportedLines({ unsupported }: ImportedConfig): string[] {
  const groups = Map.groupBy(unsupported, ({ from, reason }) => `${from.what}: ${reason}`);
  return [...groups].map(([text, group]) => {
    const locations = group.map(({ from }) => `${from.file}:${from.line}`);
    return `${printable(locations.join(", "))} ${readable(text)}`;
  });
}

export const JOBS_TITLE = "Remove these jobs before you stop the old registries";

/** One line per job that would be in the way of a migration. */
export function jobLines({ jobs }: ImportedConfig): string[] {
  return jobs.map(({ from, kind, script }) => {
    const what = script === undefined ? "it" : `it runs ${script}, which`;
    const reason =
      kind === "collects-garbage"
        ? `${what} collects garbage, which Entrepot does itself`
        : `${what} restarts a container or service: if that is a registry, it is back on its port at the next run`;
    return readable(`${formatOrigin(from)}: ${reason}`);
  });
}
