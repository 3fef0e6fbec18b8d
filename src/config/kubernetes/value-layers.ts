import { type Origin, originIn } from "../foreign/imported-config.ts";
import { ConfigError } from "../parsing/problems.ts";
import { type Path, YamlSource } from "../parsing/yaml-source.ts";

/** Values of a chart from one place. */
export interface ValueLayer {
  readonly value: unknown;
  readonly origin: (at: Path) => Origin;
}

/** The values of a chart from several places, of which the last that has a key counts, as in Helm. */
export class ValueLayers {
  readonly value: unknown;
  readonly #layers: readonly ValueLayer[];

  constructor(layers: readonly ValueLayer[], fallback: Origin) {
    this.#layers = [{ value: {}, origin: () => fallback }, ...layers];
    this.value = this.#layers.map(({ value }) => value).reduce(merged, {});
  }

  origin(at: Path): Origin {
    for (let length = at.length; length >= 0; length -= 1) {
      const part = at.slice(0, length);
      const layer = this.#layers.findLast(({ value }) => valueAt(value, part) !== undefined);
      if (layer) return layer.origin(part);
    }
    throw new Error("the first layer has the empty path");
  }
}

/**
 * Values in a text inside of a manifest, such as `valuesContent: |`.
 *
 * @throws ConfigError with positions in the manifest
 */
export function layerOfText(text: string, from: Origin): ValueLayer {
  // A block begins in the line behind its key.
  const offset = text.includes("\n") ? from.line : from.line - 1;
  try {
    const source = new YamlSource(from.file, text);
    const origin = (at: Path): Origin => {
      const inner = originIn(source, at);
      return { ...inner, line: inner.line + offset };
    };
    return { value: source.value, origin };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new ConfigError(
      error.problems.map((problem) => ({ ...problem, line: (problem.line ?? 1) + offset })),
      { cause: error },
    );
  }
}

/** A value by its dotted name, as in `helm install --set`. */
export function layerOfName(name: string, value: unknown, from: Origin): ValueLayer {
  const path = name.split(/(?<!\\)\./).map((key) => key.replaceAll(String.raw`\.`, "."));
  const nested = path.reduceRight<unknown>(
    (inner, key) => Object.fromEntries([[key, inner]]),
    value,
  );
  return { value: nested, origin: () => from };
}

export function valueAt(value: unknown, at: Path): unknown {
  return at.reduce<unknown>(
    (current, key) =>
      isObject(current) && Object.hasOwn(current, key) ? Reflect.get(current, key) : undefined,
    value,
  );
}

function merged(below: unknown, above: unknown): unknown {
  if (above === undefined) return below;
  if (!isObject(below) || !isObject(above) || Array.isArray(below) || Array.isArray(above)) {
    return above;
  }
  const keys = new Set([...Object.keys(below), ...Object.keys(above)]);
  return Object.fromEntries(
    [...keys].map((key) => [key, merged(valueAt(below, [key]), valueAt(above, [key]))]),
  );
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
