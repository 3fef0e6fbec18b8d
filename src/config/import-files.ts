import path from "node:path";
import { type ReadText, UnreadableError } from "./parsing/read-text.ts";
import { readDocuments } from "./gardener/yaml-documents.ts";
import { isManifest, readManifest } from "./gardener/manifest.ts";
import type { SecretsOptions } from "./gardener/secrets.ts";
import { ConfigError, sortProblems } from "./parsing/problems.ts";
import { isCompose, readCompose } from "./distribution/compose.ts";
import { isConfigYml, readConfigYml } from "./distribution/config-yml.ts";
import type { RegistrySettings } from "./distribution/registry-settings.ts";
import { carryProxies } from "./distribution/proxies.ts";
import { hasRunLines, readRunLines } from "./distribution/docker-run.ts";
import { ImportedConfig } from "./foreign/imported-config.ts";

const LIMIT = 1024 * 1024;

export interface ImportOptions {
  readonly files: readonly string[];
  readonly readFile: ReadText;
  readonly secrets: SecretsOptions;
  /** The registry's name by the host that a proxy asks, where nodes call it otherwise. */
  readonly names: ReadonlyMap<string, string>;
}

/**
 * Reads foreign configurations of any of the known kinds into one draft.
 *
 * @throws ConfigError with all that is wrong in any of them
 */
export function importFiles({ files, readFile, secrets, names }: ImportOptions): ImportedConfig {
  const draft = new ImportedConfig();
  const registries: RegistrySettings[] = [];
  for (const file of files) {
    try {
      registries.push(...readOne(file, readFile, secrets, draft));
    } catch (error) {
      if (error instanceof ConfigError) draft.problems.push(...error.problems);
      else if (error instanceof UnreadableError) {
        draft.problems.push({ message: `${file} ${error.message}` });
      } else throw error;
    }
  }
  carryProxies(registries, draft, names);
  if (draft.problems.length > 0) throw new ConfigError(byFile(draft, files));
  return draft;
}

function readOne(
  file: string,
  readFile: ReadText,
  secrets: SecretsOptions,
  draft: ImportedConfig,
): RegistrySettings[] {
  const text = readFile(file, LIMIT);
  const folder = path.dirname(file);
  // Looked for first: a script is no YAML, and its mistakes as such would help nobody.
  if (!/^(?:apiVersion|services|version):/m.test(text) && hasRunLines(text)) {
    return readRunLines(file, text, folder, readFile, draft);
  }
  const documents = readDocuments(file, text);
  const { source } = documents;
  if (isManifest(source.value)) {
    readManifest(documents, secrets, draft);
    return [];
  }
  if (isCompose(source.value)) return readCompose(source, folder, readFile, draft);
  if (isConfigYml(source.value)) return [readConfigYml(source)];
  const known =
    "a registry's config.yml (version, storage, http, proxy), a Compose file (services), `docker run` lines, or a manifest of Gardener's (apiVersion, kind)";
  draft.problems.push({
    file,
    line: 1,
    column: 1,
    message: `is none of what can be read: ${known}`,
  });
  return [];
}

/** In the order in which the files were given, and by place in each. */
function byFile(
  { problems }: ImportedConfig,
  files: readonly string[],
): ImportedConfig["problems"] {
  const rank = (file: string | undefined): number =>
    file === undefined ? -1 : files.indexOf(file);
  return sortProblems(problems).toSorted((a, b) => rank(a.file) - rank(b.file));
}
