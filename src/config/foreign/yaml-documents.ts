import { YamlSource } from "../parsing/yaml-source.ts";
import { ConfigError } from "../parsing/problems.ts";

/** The main document of a file, and the Secrets in the same file if it is a Gardener manifest. */
export interface YamlDocuments {
  readonly source: YamlSource;
  readonly secrets: readonly YamlSource[];
}

/** @throws ConfigError if the file has more than one document apart from Secrets, or is not valid YAML */
export function readYamlDocuments(file: string, text: string): YamlDocuments {
  return mainDocument(file, YamlSource.all(file, text));
}

/** @throws ConfigError if there is more than one document apart from Secrets */
export function mainDocument(file: string, all: readonly YamlSource[]): YamlDocuments {
  const secrets = all.filter(isSecret);
  const others = all.filter((document) => !isSecret(document));
  const [source = secrets[0], second] = others;
  // An empty file is one empty document.
  if (!source) return { source: new YamlSource(file, ""), secrets: [] };
  if (!second) return { source, secrets };
  const allowed = all.some((document) => kindOf(document) !== undefined)
    ? "only one manifest and its Secrets"
    : "only one";
  throw new ConfigError([
    second.problem([], `a second document begins here: a file may have ${allowed}`),
  ]);
}

function isSecret(source: YamlSource): boolean {
  return kindOf(source) === "Secret";
}

function kindOf({ value }: YamlSource): unknown {
  return typeof value === "object" && value !== null && "kind" in value ? value.kind : undefined;
}
