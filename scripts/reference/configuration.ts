import { z } from "zod";
import { fileSchema } from "../../src/config/schema.ts";
import { type Row, table } from "./markdown.ts";

/** The keywords of JSON Schema (2020-12) that zod writes for this file. */
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
    "No file is required. `entrepot serve --config entrepot.yaml` reads one; the keys below are all that it may hold. An unknown key, a wrong type or an impossible value stops the start with the file's name, line and column.",
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

/** What the schema does not know: how the file, flags and variables work together. */
const AROUND_THE_FILE = [
  "Relative paths begin at the folder of the configuration file.",
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
  "A change of the file, or of a file that it names, takes effect within a second, and at once on `SIGHUP`. So a renewed certificate is used without a restart, and no request is dropped. A change with a mistake is refused with its position in the log, and the running configuration stays.",
  "",
  "`listen`, `admin`, `storage` and `port` need a restart, and so does adding or removing `tls`.",
  "",
];

/** A row per key; the keys of a mapping stand behind its own, `storage.dir`. */
function rows(schema: Schema, leaf?: string, prefix = ""): Row[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, written]) => {
    const value = withoutNull(written);
    const name = `${prefix}${key}`;
    if (value.properties && key !== leaf) return rows(value, undefined, `${name}.`);
    const description = written.description ?? value.description ?? "";
    return [[`\`${name}\``, typeOf(value), description]];
  });
}

/** A key without a value is as good as one that is left out. */
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
