import {
  configurationSchema,
  documentedKeys,
  type DocumentedKey,
  OVERRIDES,
} from "../../src/config/key-reference.ts";
import { type Row, table } from "./markdown.ts";

export { configurationSchema };

export function configurationPage(): string {
  const { file, upstream } = documentedKeys();
  return [
    "# Configuration",
    "",
    "No file is required. `entrepot serve --config entrepot.yaml` reads one; it may contain only the keys below. With an unknown key, a wrong type or an invalid value the cache does not start, and the error names the file, line and column.",
    "",
    "Editors check and complete the file with [entrepot.schema.json](entrepot.schema.json): begin it with `# yaml-language-server: $schema=` and the path of that file.",
    "",
    "## Keys of the file",
    "",
    table(["Key", "Type", "Meaning"], rows(file)),
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
    OVERRIDES.map((cells) => cells.map(code)),
  ),
  "",
  "## Changes while the cache runs",
  "",
  "A change of the file, or of a file that it references, takes effect within a second, and at once on `SIGHUP`. `entrepot reload` does the same and says what came of it, and so does `systemctl reload entrepot`, which fails if the file is not valid. So a renewed certificate is used without a restart, and no request is dropped. An invalid change is rejected, the log names its position, and the running configuration stays in use.",
  "",
  "`listen`, `admin`, `workers`, `storage` and `port` need a restart, and so does adding or removing `tls`.",
  "",
];

function rows(keys: readonly DocumentedKey[]): Row[] {
  return keys.map(({ name, type, description }) => [code(name), type, description]);
}

function code(text: string): string {
  return text === "" ? "" : `\`${text}\``;
}
