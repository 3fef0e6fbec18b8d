import { playbook } from "./ansible/playbook.ts";
import { isCompose, readCompose } from "./distribution/compose/compose.ts";
import { groupProjects } from "./distribution/compose/grouping.ts";
import { MERGE_TAGS } from "./distribution/compose/tree.ts";
import { isConfigYml, readConfigYml } from "./distribution/config-yml.ts";
import {
  hasDockerRun,
  isShellScript,
  readDockerRun,
} from "./distribution/command-line/docker-run.ts";
import { eachFile, type Format, hostFolders } from "./distribution/format.ts";
import type { ForeignFile } from "./foreign/foreign-file.ts";
import { quoteForShell } from "./foreign/shell-word.ts";
import { ConfigError } from "./parsing/problems.ts";
import { isGardenerManifest, readManifest } from "./gardener/manifest.ts";
import { chartFile, helmTemplate } from "./kubernetes/chart-files.ts";
import { noteServiceJobs } from "./jobs/compose-jobs.ts";
import { jobReader } from "./jobs/job-files.ts";
import { kubernetes } from "./kubernetes/kubernetes.ts";
import { quadlet } from "./systemd/quadlet.ts";
import { serviceUnit } from "./systemd/service-unit.ts";
import { YamlSource } from "./parsing/yaml-source.ts";
import { fileSchema } from "./schema.ts";

/** The first line that is no comment is a key, a list, a flow mapping or the start of a document. */
const YAML =
  /^(?:\uFEFF?[ \t]*(?:#.*)?\r?\n)*\uFEFF?(?:---|%YAML|[{[]|- |["']?[\w.-]+["']?:(?:\s|$))/;

/** What would be in the way of a migration: it describes no registry. */
const jobs: Format = {
  title: "a crontab, or a timer or job of systemd",
  matches: ({ name, text }) => jobReader(name, text) !== undefined,
  read: eachFile(({ name, text }, { readFile, imported }) => {
    jobReader(name, text)?.(name, text, readFile, imported);
    return [];
  }),
};

const dockerRun: Format = {
  title: "a script with `docker run` command lines",
  // A script is not YAML, and syntax errors of YAML would be misleading.
  matches: ({ name, text }) =>
    /\.(?:ba|z|k)?sh$/.test(name) ||
    isShellScript(text) ||
    (!YAML.test(text) && hasDockerRun(text)),
  read: eachFile(({ name, text }, context) =>
    readDockerRun(name, text, hostFolders(name, context), context.readFile, context.imported),
  ),
};

const gardener: Format = {
  title: "a Gardener manifest",
  matches: ({ documents }) => documents.some(({ value }) => isGardenerManifest(value)),
  read: eachFile((file, { secrets, imported }) => {
    readManifest(file.onlyDocument(), secrets, imported);
    return [];
  }),
};

const compose: Format = {
  title: "a Compose file",
  matches: (file) => isCompose(composeSource(file)?.value),
  read: (files, { home, readFile, imported }) => {
    for (const file of files) {
      const source = composeSource(file);
      if (source) noteServiceJobs(source, imported);
    }
    return groupProjects(files.map(({ name, text }) => ({ file: name, text }))).flatMap((project) =>
      readCompose(project, home, readFile, imported),
    );
  },
};

/** Compose's own tags have no meaning to other formats. */
function composeSource({ name, text, documents }: ForeignFile): YamlSource | undefined {
  if (!/^["']?(?:services|include)["']?\s*:/m.test(text)) return documents[0];
  try {
    return YamlSource.ofTexts(name, text, MERGE_TAGS);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return documents[0];
  }
}

const configYml: Format = {
  title: "a config.yml of a registry",
  matches: ({ value }) => isConfigYml(value),
  read: eachFile(({ name, text }) => [readConfigYml(name, text)]),
};

/** Given to `import` by mistake: that it is one already says more than that its format is unknown. */
const entrepotYaml: Format = {
  title: "an entrepot.yaml",
  matches: ({ value }) => isEntrepotYaml(value),
  read: eachFile(({ name }, { imported }) => {
    const message = `is an entrepot.yaml already: nothing has to be converted. Check it with: entrepot doctor --config ${quoteForShell(name)}`;
    imported.problems.push({ file: name, line: 1, column: 1, message });
    return [];
  }),
};

/** The formats that are imported. The first that matches a file is its format. */
const FORMATS: readonly Format[] = [
  jobs,
  quadlet,
  serviceUnit,
  dockerRun,
  playbook,
  entrepotYaml,
  helmTemplate,
  gardener,
  kubernetes,
  compose,
  configYml,
  chartFile,
];

export const FORMAT_TITLES: readonly string[] = FORMATS.filter(
  (format) => format !== entrepotYaml,
).map(({ title }) => title);

/**
 * What to type for a file that was given as entrepot.yaml, but has another format; undefined if it
 * has none that is known.
 */
export function importAdvice(file: ForeignFile): string | undefined {
  const format = formatOf(file);
  // A manifest of Gardener is read as it is.
  if (!format || format === entrepotYaml || format === gardener) return undefined;
  const command = `entrepot import ${quoteForShell(file.name)}`;
  const title = `is ${format.title}, not an entrepot.yaml`;
  if (format === jobs) return `${title}: ${command} says what to remove from it`;
  return `${title}: convert it with ${command} --output entrepot.yaml`;
}

/** The format of a file; undefined if it is none of those that are imported. */
export function formatOf(file: ForeignFile): Format | undefined {
  return FORMATS.find((format) => format.matches(file));
}

function isEntrepotYaml(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const keys = Object.keys(value);
  const isKnown = (key: string): boolean => Object.hasOwn(fileSchema.shape, key);
  // Other formats have the keys `storage` and `tls` as well.
  const isOwn = (key: string): boolean => isKnown(key) && key !== "storage" && key !== "tls";
  return keys.some(isOwn) || (keys.length > 0 && keys.every(isKnown));
}
