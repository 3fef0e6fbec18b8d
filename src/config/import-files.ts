import { homedir } from "node:os";
import path from "node:path";
import { type ReadText, UnreadableError } from "./parsing/read-text.ts";
import { readYamlDocuments } from "./gardener/yaml-documents.ts";
import { isManifest, readManifest } from "./gardener/manifest.ts";
import type { SecretsOptions } from "./gardener/secrets.ts";
import { ConfigError, sortProblems } from "./parsing/problems.ts";
import { isCompose, readCompose } from "./distribution/compose/compose.ts";
import { groupProjects } from "./distribution/compose/grouping.ts";
import type { ComposeFile } from "./distribution/compose/project.ts";
import { MERGE_TAGS } from "./distribution/compose/tree.ts";
import { isConfigYml, readConfigYml } from "./distribution/config-yml.ts";
import type { RegistrySettings } from "./distribution/registry-settings.ts";
import { type ImportDecisions, importProxies } from "./distribution/import-proxies.ts";
import {
  hasDockerRun,
  isShellScript,
  readDockerRun,
} from "./distribution/command-line/docker-run.ts";
import { YamlSource } from "./parsing/yaml-source.ts";
import { ImportedConfig } from "./foreign/imported-config.ts";

const MAX_BYTES = 1024 * 1024;
/** The first line that is no comment is a key, a list, a flow mapping or the start of a document. */
const YAML =
  /^(?:\uFEFF?[ \t]*(?:#.*)?\r?\n)*\uFEFF?(?:---|%YAML|[{[]|- |["']?[\w.-]+["']?:(?:\s|$))/;

export interface ImportOptions extends Partial<ImportDecisions> {
  readonly files: readonly string[];
  readonly readFile: ReadText;
  readonly secrets: SecretsOptions;
}

/**
 * Imports configuration files of the supported formats into one configuration: config.yml of registry:2
 * and registry:3, Compose files, scripts with `docker run`, and Gardener manifests.
 *
 * @throws ConfigError with all problems of all files
 */
export function importFiles(options: ImportOptions): ImportedConfig {
  const { files, readFile, secrets } = options;
  const { names = new Map(), addresses = new Map(), withoutAuth = new Set() } = options;
  const imported = new ImportedConfig();
  const registries: RegistrySettings[] = [];
  const compose: ComposeFile[] = [];
  for (const file of files) {
    try {
      registries.push(...readOne(file, readFile, secrets, imported, compose));
    } catch (error) {
      if (error instanceof ConfigError) imported.problems.push(...error.problems);
      else if (error instanceof UnreadableError) {
        imported.problems.push({ message: `${file} ${error.message}` });
      } else throw error;
    }
  }
  for (const project of groupProjects(compose)) {
    registries.push(...readCompose(project, homedir(), readFile, imported));
  }
  importProxies(registries, imported, { names, addresses, withoutAuth });
  if (imported.problems.length > 0) throw new ConfigError(sortByFile(imported, files));
  return imported;
}

function readOne(
  file: string,
  readFile: ReadText,
  secrets: SecretsOptions,
  imported: ImportedConfig,
  compose: ComposeFile[],
): RegistrySettings[] {
  const text = readFile(file, MAX_BYTES);
  const folders = { working: path.resolve(path.dirname(file)), home: homedir() };
  // Checked first: a script is not YAML, and syntax errors of YAML would be misleading.
  if (isShellScript(text) || (!YAML.test(text) && hasDockerRun(text))) {
    return readDockerRun(file, text, folders, readFile, imported);
  }
  // Its tags have no meaning to other formats.
  if (/^["']?(?:services|include)["']?\s*:/m.test(text)) {
    if (isCompose(YamlSource.ofTexts(file, text, MERGE_TAGS).value)) {
      compose.push({ file, text });
      return [];
    }
  }
  const documents = readYamlDocuments(file, text);
  const { source } = documents;
  if (isManifest(source.value)) {
    readManifest(documents, secrets, imported);
    return [];
  }
  if (isCompose(source.value)) {
    compose.push({ file, text });
    return [];
  }
  if (isConfigYml(source.value)) return [readConfigYml(file, text)];
  const formats =
    "config.yml of a registry (version, storage, http, proxy), a Compose file (services), `docker run` command lines, or a Gardener manifest (apiVersion, kind)";
  imported.problems.push({
    file,
    line: 1,
    column: 1,
    message: `has an unknown format. Supported formats: ${formats}`,
  });
  return [];
}

/** Sorts problems by file, in the given order of files, and by position within each file. */
function sortByFile(
  { problems }: ImportedConfig,
  files: readonly string[],
): ImportedConfig["problems"] {
  const rank = (file: string | undefined): number =>
    file === undefined ? -1 : files.indexOf(file);
  return sortProblems(problems).toSorted((a, b) => rank(a.file) - rank(b.file));
}
