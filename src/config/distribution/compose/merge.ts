import {
  type ComposeNode,
  entriesOf,
  fieldOf,
  itemsOf,
  type MapNode,
  replaceContent,
  textOf,
} from "./tree.ts";

/** Keys of a service whose later value replaces the earlier one, although both may be lists. */
const REPLACED = new Set(["command", "entrypoint", "test"]);

/** Keys of a service that are lists or mappings of names, merged by name. */
const NAMED: ReadonlyMap<string, RegExp> = new Map([
  ["environment", /=/],
  ["labels", /=/],
  ["extra_hosts", /[=:]/],
]);

/** Keys of a service that are lists whose elements have an identity. */
const UNIQUE: ReadonlyMap<string, (item: ComposeNode) => string> = new Map([
  ["ports", portIdentity],
  ["volumes", targetOf],
  ["configs", targetOf],
  ["secrets", targetOf],
]);

/**
 * Merges a Compose file, or a service, into an earlier one, by the rules of the Compose
 * specification: mappings by key, lists by appending, some lists by the identity of their elements.
 */
export function mergeNodes(
  before: ComposeNode,
  after: ComposeNode,
  key = "",
): ComposeNode | undefined {
  if (after.tag === "!reset") return undefined;
  if (after.tag === "!override" || REPLACED.has(key)) return after;
  const separator = NAMED.get(key);
  if (separator) return mergeMaps(byName(before, separator), byName(after, separator));
  const identity = UNIQUE.get(key);
  if (identity) return mergeUnique(before, after, identity);
  if ("text" in after && after.text === null && !("text" in before)) return before;
  if ("fields" in before && "fields" in after) return mergeMaps(before, after);
  if ("items" in before || "items" in after) {
    if ("fields" in before || "fields" in after) return after;
    return replaceContent(after, { items: [...itemsOf(before), ...itemsOf(after)] });
  }
  return after;
}

/** Removes what is tagged `!reset`: it counts as absent where nothing comes before it. */
export function withoutReset(node: ComposeNode): ComposeNode | undefined {
  if (node.tag === "!reset") return undefined;
  if ("items" in node) {
    const items = node.items.flatMap((one) => withoutReset(one) ?? []);
    return replaceContent(node, { items });
  }
  if (!("fields" in node)) return node;
  const fields = [...node.fields].flatMap(([key, one]): [string, ComposeNode][] => {
    const kept = withoutReset(one);
    return kept ? [[key, kept]] : [];
  });
  return replaceContent(node, { fields: new Map(fields) });
}

function mergeMaps(before: MapNode, after: MapNode): MapNode {
  const fields = new Map(before.fields);
  for (const [key, value] of after.fields) {
    const earlier = fields.get(key);
    const merged = earlier ? mergeNodes(earlier, value, key) : withoutReset(value);
    if (merged) fields.set(key, merged);
    else fields.delete(key);
  }
  return replaceContent(after, { fields });
}

/** A list of `NAME=VALUE` as a mapping. A name alone has no value. */
function byName(node: ComposeNode, separator: RegExp): MapNode {
  const fields = entriesOf(node, separator).map(
    ({ key, value, node: one }): [string, ComposeNode] => [
      key,
      "fields" in node ? one : replaceContent(one, { text: value ?? null, isPlain: false }),
    ],
  );
  return replaceContent(node, { fields: new Map(fields) });
}

function mergeUnique(
  before: ComposeNode,
  after: ComposeNode,
  identity: (item: ComposeNode) => string,
): ComposeNode {
  const items = new Map(itemsOf(before).map((item) => [identity(item), item]));
  for (const item of itemsOf(after)) items.set(identity(item), item);
  return replaceContent(after, { items: [...items.values()] });
}

function portIdentity(item: ComposeNode): string {
  const text = textOf(item);
  if (text !== undefined) return text.includes("/") ? text : `${text}/tcp`;
  const part = (key: string): string => textOf(fieldOf(item, key)) ?? "";
  const address = part("host_ip") === "" ? "" : `${part("host_ip")}:`;
  const outside = part("published") === "" ? "" : `${address}${part("published")}:`;
  return `${outside}${part("target")}/${part("protocol") || "tcp"}`;
}

function targetOf(item: ComposeNode): string {
  const text = textOf(item);
  if (text === undefined)
    return textOf(fieldOf(item, "target")) ?? textOf(fieldOf(item, "source")) ?? "";
  const [source = "", target = source] = text.split(":");
  return target.replace(/(?<=.)\/+$/, "");
}
