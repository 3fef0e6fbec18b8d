import { z } from "zod";
import { fileSchema } from "../../src/config/schema.ts";
import { type Row, table } from "./markdown.ts";

/** The JSON Schema (2020-12) keywords that zod emits for this file. */
interface Schema {
  readonly title?: string;
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly enum?: readonly string[];
}

/** entrepot.yaml as a JSON Schema, for editors. */
export function configurationSchema(): Schema {
  // zod types the result as JSON Schema of any draft; these are the keywords that it uses here.
  const schema = z.toJSONSchema(fileSchema, { io: "input", unrepresentable: "any" }) as Schema;
  const title = "entrepot.yaml";
  return { ...schema, title, description: "The configuration of the Entrepot cache." };
}

export function configurationPage(): string {
  const schema = configurationSchema();
  const upstreams = withoutNull(schema.properties?.["upstreams"] ?? {});
  const upstream = withoutNull(
    typeof upstreams.additionalProperties === "object" ? upstreams.additionalProperties : {},
  );
  return [
    "# Configuration",
    "",
    "No file is required. `entrepot serve --config entrepot.yaml` reads one; it may contain only the keys below. With an unknown key, a wrong type or an invalid value the cache does not start, and the error names the file, line and column.",
    "",
    "Editors check and complete the file with [entrepot.schema.json](entrepot.schema.json): begin it with `# yaml-language-server: $schema=` and the path of that file.",
    "",
    "## Keys of the file",
    "",
    table(["Key", "Type", "Meaning"], rows(schema, "upstreams")),
    "",
    "## Keys of each of the `upstreams`",
    "",
    table(["Key", "Type", "Meaning"], rows(upstream)),
    "",
    ...AROUND_THE_FILE,
  ].join("\n");
}

/** What the schema does not express: how the file, flags and environment variables interact. */
const AROUND_THE_FILE = [
  "Relative paths are relative to the folder of the configuration file.",
  "",
  "## Flags and environment variables",
  "",
  "A flag overrides an environment variable, which overrides the file.",
  "",
  table(
    ["Flag", "Variable", "Key"],
    [
      ["`--config`", "`ENTREPOT_CONFIG`", ""],
      ["`--listen`", "`ENTREPOT_LISTEN`", "`listen`"],
      ["`--admin`", "`ENTREPOT_ADMIN`", "`admin`"],
      ["`--data`", "`ENTREPOT_DATA`", "`storage.dir`"],
      ["", "`ENTREPOT_ADMIN_TOKEN`", "`adminToken`"],
    ],
  ),
  "",
  "## Changes while the cache runs",
  "",
  "A change of the file, or of a file that it references, takes effect within a second, and at once on `SIGHUP`. `entrepot reload` does the same and says what came of it, and so does `systemctl reload entrepot`, which fails if the file is not valid. So a renewed certificate is used without a restart, and no request is dropped. An invalid change is rejected, the log names its position, and the running configuration stays in use.",
  "",
  "`listen`, `admin`, `storage` and `port` need a restart, and so does adding or removing `tls`.",
  "",
];

/** A row per key; nested keys are prefixed with their mapping's key: `storage.dir`. */
function rows(schema: Schema, leaf?: string, prefix = ""): Row[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, written]) => {
    const value = withoutNull(written);
    const name = `${prefix}${key}`;
    if (value.properties && key !== leaf) return rows(value, undefined, `${name}.`);
    const description = written.description ?? value.description ?? "";
    return [[`\`${name}\``, typeOf(value), description]];
  });
}

/** Removes `null` from a union: a key without a value means the same as an omitted one. */
function withoutNull(schema: Schema): Schema {
  const choices = schema.anyOf?.filter(({ type }) => type !== "null");
  const [only] = choices ?? [];
  if (!only || choices?.length !== 1) return schema;
  return schema.description === undefined ? only : { ...only, description: schema.description };
}

function typeOf(schema: Schema): string {
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
