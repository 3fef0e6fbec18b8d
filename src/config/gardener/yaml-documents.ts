import { YamlSource } from "../parsing/yaml-source.ts";
import { ConfigError } from "../parsing/problems.ts";

/** A file's one document, and the Secrets that stand beside it where that is a manifest. */
export interface Documents {
  readonly source: YamlSource;
  readonly secrets: readonly YamlSource[];
}

/** @throws ConfigError where a file holds anything else. */
export function readDocuments(file: string, text: string): Documents {
  const all = YamlSource.all(file, text);
  const [secrets, others] = [all.filter(isSecret), all.filter((one) => !isSecret(one))];
  const [source = secrets[0], second] = others;
  // A file without any content is one as well.
  if (!source) return { source: new YamlSource(file, ""), secrets: [] };
  if (!second) return { source, secrets };
  const allowed = all.some((one) => kindOf(one) !== undefined)
    ? "one manifest and the Secrets that it names"
    : "one";
  throw new ConfigError([
    second.problem([], `a second document begins here: one file holds ${allowed}`),
  ]);
}

function isSecret(source: YamlSource): boolean {
  return kindOf(source) === "Secret";
}

function kindOf({ value }: YamlSource): unknown {
  return typeof value === "object" && value !== null && "kind" in value ? value.kind : undefined;
}
