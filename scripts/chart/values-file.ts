import { readFileSync } from "node:fs";
import path from "node:path";
import { isMap, isNode, isScalar, parseDocument, type YAMLMap } from "yaml";

/** The folder of the chart, relative to the checkout's root. */
export const CHART = "deploy/chart/entrepot";
const root = path.dirname(path.dirname(import.meta.dir));

/** A value of the chart, with its default. */
export interface ChartValue {
  readonly path: readonly string[];
  /** What its comment says after `# -- `. */
  readonly description: string;
  readonly default: unknown;
  /** Values within it, where these have comments of their own. */
  readonly children: readonly ChartValue[];
}

/**
 * The values of values.yaml, in its order.
 *
 * @throws Error if one has no comment: nobody could know what it does
 */
export function chartValues(): readonly ChartValue[] {
  const text = readFileSync(path.join(root, CHART, "values.yaml"), "utf8");
  const { contents } = parseDocument(text);
  if (!isMap(contents)) throw new Error("values.yaml is no mapping");
  return valuesOf(contents, []);
}

function valuesOf(map: YAMLMap, above: readonly string[]): ChartValue[] {
  return map.items.map((pair, index) => {
    if (!isScalar(pair.key)) throw new Error(`values.yaml: a key of ${above.join(".")} is no word`);
    const at = [...above, String(pair.key.value)];
    const children = isMap(pair.value) && isDescribed(pair.value) ? valuesOf(pair.value, at) : [];
    const description = descriptionOf(map, index);
    if (children.length === 0 && description === "") {
      throw new Error(`values.yaml: ${at.join(".")} has no comment that begins with "# -- "`);
    }
    const value: unknown = isNode(pair.value) ? pair.value.toJSON() : pair.value;
    return { path: at, description, default: value, children };
  });
}

function isDescribed(map: YAMLMap): boolean {
  return map.items.some((_, index) => descriptionOf(map, index) !== "");
}

function descriptionOf(map: YAMLMap, index: number): string {
  const key = map.items[index]?.key;
  // The parser gives the comment above the first key to the mapping.
  const above =
    (isScalar(key) ? key.commentBefore : undefined) ??
    (index === 0 ? map.commentBefore : undefined);
  const begin = above?.lastIndexOf(" -- ") ?? -1;
  return above === undefined || above === null || begin < 0
    ? ""
    : above
        .slice(begin + " -- ".length)
        .replaceAll(/\n\s*/g, " ")
        .trim();
}
