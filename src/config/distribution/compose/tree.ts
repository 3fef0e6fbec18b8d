import { originIn } from "../../foreign/imported-config.ts";
import type { Origin } from "../../foreign/imported-config.ts";
import { type Path, YamlSource } from "../../parsing/yaml-source.ts";
import { withoutMarks } from "../container/unresolved.ts";
import { interpolate, type Lookup } from "./interpolation.ts";

/** A value of a Compose file, with its place. Values of several files can be merged. */
export type ComposeNode = TextNode | ListNode | MapNode;

interface Place {
  readonly from: Origin;
  /** The directory that relative paths in it refer to. */
  readonly folder: string;
  /** `!reset` or `!override`, which say how it is merged. */
  readonly tag: string | undefined;
}

export interface TextNode extends Place {
  readonly text: string | null;
  /** Whether it is written without quotes, so that it may be a number for YAML. */
  readonly isPlain: boolean;
}

export interface ListNode extends Place {
  readonly items: readonly ComposeNode[];
}

export interface MapNode extends Place {
  readonly fields: ReadonlyMap<string, ComposeNode>;
}

export const MERGE_TAGS: readonly string[] = ["!reset", "!override"];

/**
 * Reads a Compose file and substitutes its variables.
 *
 * @throws ConfigError if the file is not valid YAML
 */
export function readTree(file: string, text: string, folder: string, lookup: Lookup): ComposeNode {
  const source = YamlSource.ofTexts(file, withoutMarks(text), MERGE_TAGS);
  return nodeOf(source, source.value, [], folder, lookup);
}

function nodeOf(
  source: YamlSource,
  value: unknown,
  at: Path,
  folder: string,
  lookup: Lookup,
): ComposeNode {
  const place: Place = {
    // Found when it is needed: each search begins at the root.
    get from() {
      return originIn(source, at);
    },
    folder,
    tag: source.tagAt(at),
  };
  const child = (key: PropertyKey, one: unknown): ComposeNode =>
    nodeOf(source, one, [...at, key], folder, lookup);
  if (Array.isArray(value)) {
    return withPlace(place, { items: value.map((one, index) => child(index, one)) });
  }
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value).map(([key, one]): [string, ComposeNode] => [
      key,
      child(key, one),
    ]);
    return withPlace(place, { fields: new Map(entries) });
  }
  const text = typeof value === "string" ? interpolate(value, lookup) : null;
  return withPlace(place, {
    text,
    get isPlain() {
      return source.isPlain(at);
    },
  });
}

/** Adds a place without asking for its origin. */
function withPlace<Content extends object>(place: Place, content: Content): Place & Content {
  return Object.defineProperties(content, Object.getOwnPropertyDescriptors(place)) as Place &
    Content; // The descriptors are those of the place.
}

/** A node with other content at the same place. */
export function replaceContent<Content extends object>(
  place: ComposeNode,
  content: Content,
): Place & Content {
  const { folder, tag } = place;
  const at: Place = {
    get from() {
      return place.from;
    },
    folder,
    tag,
  };
  return withPlace(at, content);
}

/** The value of a key; undefined if there is none, or if the node is no mapping. */
export function fieldOf(node: ComposeNode | undefined, key: string): ComposeNode | undefined {
  return node && "fields" in node ? node.fields.get(key) : undefined;
}

/** The value below several keys. */
export function nodeAt(node: ComposeNode | undefined, ...keys: string[]): ComposeNode | undefined {
  return keys.reduce(fieldOf, node);
}

/** The text of a node; undefined for null, a list or a mapping. */
export function textOf(node: ComposeNode | undefined): string | undefined {
  return node && "text" in node ? (node.text ?? undefined) : undefined;
}

/** The keys and values of a mapping; empty for anything else. */
export function fieldsOf(node: ComposeNode | undefined): readonly [string, ComposeNode][] {
  return node && "fields" in node ? [...node.fields] : [];
}

/** The elements of a list; a single text counts as a list of one. */
export function itemsOf(node: ComposeNode | undefined): readonly ComposeNode[] {
  if (!node) return [];
  if ("items" in node) return node.items;
  return textOf(node) === undefined ? [] : [node];
}

/** The entries of a mapping, or of a list of `KEY<separator>VALUE` texts. */
export function entriesOf(
  node: ComposeNode | undefined,
  separator: RegExp,
): readonly {
  readonly key: string;
  readonly value: string | undefined;
  readonly node: ComposeNode;
}[] {
  if (node && "fields" in node) {
    return fieldsOf(node).map(([key, one]) => ({ key, value: textOf(one), node: one }));
  }
  return itemsOf(node).map((one) => {
    const text = textOf(one) ?? "";
    const end = separator.exec(text);
    return end
      ? { key: text.slice(0, end.index), value: text.slice(end.index + end[0].length), node: one }
      : { key: text, value: undefined, node: one };
  });
}
