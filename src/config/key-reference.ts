import { z } from "zod";
import { fileSchema } from "./schema.ts";

/** The JSON Schema (2020-12) keywords that zod emits for entrepot.yaml. */
export interface ConfigurationSchema {
  readonly title?: string;
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly properties?: Readonly<Record<string, ConfigurationSchema>>;
  readonly additionalProperties?: ConfigurationSchema | boolean;
  readonly required?: readonly string[];
  readonly items?: ConfigurationSchema;
  readonly anyOf?: readonly ConfigurationSchema[];
  readonly enum?: readonly string[];
}

/** A key as its documentation has it. */
export interface DocumentedKey {
  /** With the keys that it is nested in: `storage.dir`. */
  readonly name: string;
  /** In words: `list of strings`. */
  readonly type: string;
  readonly description: string;
}

/** A flag of `serve` and the variable and the key that it overrides. */
export const OVERRIDES: readonly (readonly [flag: string, variable: string, key: string])[] = [
  ["--config", "ENTREPOT_CONFIG", ""],
  ["--listen", "ENTREPOT_LISTEN", "listen"],
  ["--admin", "ENTREPOT_ADMIN", "admin"],
  ["--data", "ENTREPOT_DATA", "storage.dir"],
  ["--workers", "ENTREPOT_WORKERS", "workers"],
  ["", "ENTREPOT_ADMIN_TOKEN", "adminToken"],
];

/** entrepot.yaml as a JSON Schema, for editors. */
export function configurationSchema(): ConfigurationSchema {
  // zod types the result as JSON Schema of any draft; these are the keywords that it uses here.
  const schema = z.toJSONSchema(fileSchema, {
    io: "input",
    unrepresentable: "any",
  }) as ConfigurationSchema;
  const title = "entrepot.yaml";
  return { ...schema, title, description: "The configuration of the Entrepot cache." };
}

/** The keys of the file, and those of each of the `upstreams`. */
export function documentedKeys(): {
  readonly file: readonly DocumentedKey[];
  readonly upstream: readonly DocumentedKey[];
} {
  const schema = configurationSchema();
  const upstreams = withoutNull(schema.properties?.["upstreams"] ?? {});
  const upstream = withoutNull(
    typeof upstreams.additionalProperties === "object" ? upstreams.additionalProperties : {},
  );
  return { file: keysOf(schema, "upstreams"), upstream: keysOf(upstream) };
}

function keysOf(schema: ConfigurationSchema, leaf?: string, prefix = ""): DocumentedKey[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, written]) => {
    const value = withoutNull(written);
    const name = `${prefix}${key}`;
    if (value.properties && key !== leaf) return keysOf(value, undefined, `${name}.`);
    const description = written.description ?? value.description ?? "";
    return [{ name, type: typeOf(value), description }];
  });
}

/** Removes `null` from a union: a key without a value means the same as an omitted one. */
function withoutNull(schema: ConfigurationSchema): ConfigurationSchema {
  const choices = schema.anyOf?.filter(({ type }) => type !== "null");
  const [only] = choices ?? [];
  if (!only || choices?.length !== 1) return schema;
  return schema.description === undefined ? only : { ...only, description: schema.description };
}

function typeOf(schema: ConfigurationSchema): string {
  if (schema.enum) return schema.enum.map((value) => `\`${value}\``).join(", ");
  if (schema.anyOf) return [...new Set(schema.anyOf.map(typeOf))].join(" or ");
  if (schema.type === "array") return `list of ${plural(typeOf(schema.items ?? {}))}`;
  if (schema.type === "object") return "mapping";
  return [schema.type ?? "any"].flat().join(" or ");
}

function plural(type: string): string {
  return type
    .split(" or ")
    .map((one) => `${one}s`)
    .join(" or ");
}
