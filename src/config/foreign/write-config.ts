import { Document, isCollection, isMap, isScalar, isSeq, type Scalar } from "yaml";
import type { Path } from "../parsing/yaml-source.ts";
import type { ImportedConfig, Origin } from "./imported-config.ts";

/** Where only Docker knows a volume's folder: its one command that asks. */
const VOLUME = /^"\$\(docker volume inspect --format '\{\{\.Mountpoint\}\}' [\w.-]+\)"$/;

/** entrepot.yaml, each line with where it came from, and at its end what could not be carried over. */
export function writeConfig(draft: ImportedConfig, command: string): string {
  // Upstreams last: the list is long.
  const { upstreams, ...rest } = draft.value;
  const document = new Document({ ...rest, ...(upstreams ? { upstreams } : {}) });
  document.commentBefore = ` Made by: ${command}`;
  const nodes = nodesIn(document);
  for (const { at, from, note } of draft.carried) {
    const text = ` ${placeOf(from)}${note === undefined ? "" : `: ${note}`}`;
    const { key, value } = nodes.get(pathText(at)) ?? {};
    if (isScalar(value)) value.comment = text;
    else if (isCollection(value)) (key ?? value).commentBefore = text;
  }
  return [document.toString({ lineWidth: 0 }), ...leftOvers(draft), ...adoptions(draft)].join("");
}

/** `hub.yml:12 proxy.ttl`. */
export function placeOf({ file, line, what }: Origin): string {
  return `${file}:${line}${what === "" ? "" : ` ${what}`}`;
}

interface Placed {
  readonly key?: Scalar;
  readonly value: unknown;
}

/** Every node by its path: to look for each from the top takes minutes where there are thousands. */
function nodesIn(document: Document): ReadonlyMap<string, Placed> {
  const nodes = new Map<string, Placed>();
  const add = (at: Path, placed: Placed): void => {
    nodes.set(pathText(at), placed);
    const { value } = placed;
    if (isMap(value)) {
      for (const { key, value: inner } of value.items) {
        if (isScalar(key)) add([...at, String(key.value)], { key, value: inner });
      }
    } else if (isSeq(value)) {
      for (const [index, inner] of value.items.entries()) add([...at, index], { value: inner });
    }
  };
  add([], { value: document.contents });
  return nodes;
}

function pathText(at: Path): string {
  return at.map(String).join("\0");
}

function leftOvers(draft: ImportedConfig): string[] {
  const lines = leftOverLines(draft);
  if (lines.length === 0) return [];
  return ["\n# Could not be carried over:\n", ...lines.map((line) => `#   ${line}\n`)];
}

/** A line for each; what stands in several files alike is told once. */
export function leftOverLines({ left }: ImportedConfig): string[] {
  const alike = Map.groupBy(left, ({ from, why }) => `${from.what}: ${why}`);
  return [...alike].map(([text, each]) => {
    const places = each.map(({ from }) => `${from.file}:${from.line}`);
    // A key of a foreign file may hold anything, and must not end the comment that names it.
    return `${places.join(", ")} ${text}`.replaceAll(/\s*[\r\n\u0085\u2028\u2029]+\s*/g, " ");
  });
}

/** The lines below are run by a shell, and none of them may be left by what somebody else wrote. */
function shellWord(text: string): string {
  const line = text.replaceAll(/[\r\n]+/g, " ");
  const isReady = /^[\w./:@%+,-]+$/.test(line) || VOLUME.test(line);
  return isReady ? line : `'${line.replaceAll("'", String.raw`'\''`)}'`;
}

function adoptions({ adoptable }: ImportedConfig): string[] {
  if (adoptable.length === 0) return [];
  const lines = adoptable.map(
    ({ upstream, folder }) =>
      `#   entrepot adopt ${shellWord(folder)} --upstream ${upstream} --config entrepot.yaml\n`,
  );
  return [
    "\n# What the old registries hold can be taken over, with them stopped and before this one starts:\n",
    ...lines,
  ];
}
