import { posix } from "node:path";
import { CA_FILE_NAME } from "../../config/containerd/hosts-toml.ts";
import {
  DEFAULT_DIRECTORY,
  registryOfDirectory,
} from "../../config/containerd/registry-directory.ts";
import { cacheCaTargets } from "../cache-ca.ts";
import { temporaryPath } from "../files/durable-files.ts";
import type { FileView } from "../files/node-files.ts";
import { newFile, withText } from "../files/node-files.ts";
import type { Obstacle, Target, DesiredState } from "../plan.ts";
import type { Targets, Views } from "../runtime.ts";
import { TomlEditRefused } from "../files/toml-edit.ts";
import type { ManagedBy } from "../managed-by.ts";
import { configChanges } from "./config/config-change.ts";
import { configurationObstacles, keyCaseNotes } from "./config/configuration-obstacles.ts";
import type { Configuration } from "./config/configuration.ts";
import { isImported } from "./config/configuration-files.ts";
import { readConfiguration } from "./config/configuration.ts";
import { certificateProblems } from "./hosts/certificates.ts";
import { convertMirrors } from "./hosts/convert-mirrors.ts";
import { registryDirectories } from "./hosts/hosts-directories.ts";
import type { RegistryTables } from "./config/registry-tables.ts";
import { readRegistryTables } from "./config/registry-tables.ts";
import { fileManager } from "./managed-files.ts";
import { linkedRegistries } from "./hosts/linked-registries.ts";
import { planHosts } from "./hosts/plan-hosts.ts";
import type { ContainerdVersion, Traits } from "./traits.ts";
import { isSupported, traitsOf } from "./traits.ts";

export interface PlanInput {
  readonly views: Views;
  readonly version: ContainerdVersion;
  /** Path of the main configuration file. */
  readonly main: string;
  readonly desired: DesiredState;
  readonly manager: ManagedBy | undefined;
}

/** The files of a wired node, in the order of writing, and the obstacles to writing them. */
export function planTargets(input: PlanInput): Targets {
  const { views, version, main, desired, manager } = input;
  const view = views.now;
  const traits = traitsOf(version);
  const obstacles: Obstacle[] = [];
  const notes: string[] = [];
  if (!isSupported(version)) {
    const what = `containerd ${version.text} is older than 1.6, whose hosts directories are the first with all fields that are needed`;
    obstacles.push({ code: "version-unsupported", what, advice: "update containerd" });
  }
  if (desired.useDefault && !traits.readsDefaultDirectory) {
    const what = `containerd ${version.text} does not read a _default directory`;
    const advice = "omit --default; it works from 1.6.17 and 1.7.24 on";
    obstacles.push({ code: "no-default-directory", what, advice });
  }
  const configuration = readConfiguration(view, main, traits);
  obstacles.push(...configurationObstacles(configuration, traits));
  const tables = readRegistryTables(configuration, traits);
  const ownDefault = posix.join(posix.dirname(main), "certs.d");
  const certsDir = tables.directories[0] ?? ownDefault;
  if (obstacles.length > 0) return { targets: [], certsDir, notes, obstacles };

  // Mirrors that an earlier run converted stay converted, even if config.toml was edited since.
  const original = readRegistryTables(readConfiguration(views.before, main, traits), traits);
  const hasDeprecated = tables.mirrors.length > 0 || tables.tls.length > 0;
  const conversion = convertMirrors(hasDeprecated ? tables : original, (fields) =>
    certificateProblems(view, fields),
  );
  obstacles.push(...conversion.obstacles);
  notes.push(
    ...conversion.notes,
    ...wildcardNotes(tables, desired),
    ...keyCaseNotes(configuration, traits),
  );
  const inForce = tables.kind === "deprecated" ? [] : tables.directories;
  const caFile = posix.join(posix.dirname(main), CA_FILE_NAME);
  const hosts = planHosts({
    view,
    desired,
    conversion,
    inForce,
    root: certsDir,
    traits,
    caFile,
  });
  obstacles.push(...hosts.obstacles, ...linkedRegistries(view, certsDir, hosts.targets));
  notes.push(...hosts.notes);
  const copies = copyTargets(
    view,
    inForce,
    certsDir,
    new Set(hosts.targets.map((target) => target.path)),
  );
  if (copies.length > 0) {
    const others = tables.directories.slice(1).join(", ");
    notes.push(
      `the files in ${others} are copied to ${certsDir}, because not every containerd reads more than one directory`,
    );
  }
  notes.push(...newlyInForce(view, tables, certsDir, hosts.targets));
  const config = configTargets(view, configuration, tables, certsDir, traits, obstacles);
  obstacles.push(...managerObstacles(view, manager, config, hosts.targets));
  const ca = cacheCaTargets(view, caFile, desired);
  obstacles.push(...ca.obstacles);
  return {
    targets: [...ca.targets, ...copies, ...hosts.targets, ...config],
    certsDir,
    notes,
    obstacles,
  };
}

function configTargets(
  view: FileView,
  configuration: Configuration,
  tables: RegistryTables,
  certsDir: string,
  traits: Traits,
  obstacles: Obstacle[],
): Target[] {
  try {
    const texts = configChanges(configuration, tables, certsDir, traits);
    for (const path of texts.keys()) {
      if (!isImported(configuration.files, temporaryPath(path), traits)) continue;
      const what = `an import of ${configuration.main} matches every file name in ${posix.dirname(path)}, including the temporary file of an edit`;
      const advice = "let the import end in *.toml instead of *, then plan again";
      obstacles.push({
        code: "import-glob-too-broad",
        at: { file: configuration.main },
        what,
        advice,
      });
    }
    return [...texts].map(([path, text]) => {
      const state = view.read(path);
      const after = state === undefined ? newFile(text) : withText(state, text);
      return {
        path,
        kind: "config",
        after,
        withoutCache: after,
        why: "containerd's configuration",
      };
    });
  } catch (error) {
    if (!(error instanceof TomlEditRefused)) throw error;
    const at = { file: configuration.writeTo, line: error.line };
    const advice = "rewrite it as tables with headers, then plan again";
    obstacles.push({ code: "config-not-editable", at, what: error.message, advice });
    return [];
  }
}

function wildcardNotes(tables: RegistryTables, desired: DesiredState): string[] {
  const wildcard = tables.mirrors.find((mirror) => mirror.registry === "*");
  if (wildcard === undefined) return [];
  const entry = `mirrors."*" (${wildcard.file}:${wildcard.line})`;
  const endpoints = desired.replace
    ? ""
    : "; its endpoints stay, after the cache (--replace drops them)";
  return desired.useDefault
    ? [`${entry} becomes the directory _default, with the cache first${endpoints}`]
    : [
        `${entry} becomes one directory for each wired registry; pulls from any other registry go to it directly from now on (--default keeps the wildcard)${endpoints}`,
      ];
}

/**
 * The order in which a directory's files are copied. Without a hosts.toml, containerd uses the
 * certificates by their names, and a .cert together with its .key; so the key comes before the .cert.
 */
function copyRank(file: string): number {
  if (file === "hosts.toml") return 2;
  return file.endsWith(".cert") ? 1 : 0;
}

/** Files of the other directories of a colon path, for registries that the first one does not have. */
function copyTargets(
  view: FileView,
  directories: readonly string[],
  root: string,
  planned: ReadonlySet<string>,
): Target[] {
  const plannedNames = [...planned].map((path) => posix.basename(posix.dirname(path)));
  const taken = new Set(
    [...registryDirectories(view, root), ...plannedNames].map(registryOfDirectory),
  );
  const hasDefault = view.isDirectory(posix.join(root, DEFAULT_DIRECTORY));
  const copies: Target[] = [];
  for (const directory of directories.filter((dir) => dir !== root)) {
    for (const name of registryDirectories(view, directory)) {
      if (hasDefault || taken.has(registryOfDirectory(name))) continue;
      taken.add(registryOfDirectory(name));
      // Certificates first: a hosts.toml that names a missing one fails every pull.
      const names = view.list(posix.join(directory, name)) ?? [];
      for (const file of names.toSorted((a, b) => copyRank(a) - copyRank(b))) {
        const state = view.read(posix.join(directory, name, file));
        const path = posix.join(root, name, file);
        if (state === undefined) continue;
        copies.push({
          path,
          kind: "copy",
          after: state,
          withoutCache: state,
          why: `from ${directory}/${name}`,
        });
      }
    }
  }
  return copies;
}

/** Notes on existing directories that had no effect and will have one. */
function newlyInForce(
  view: FileView,
  tables: RegistryTables,
  root: string,
  targets: readonly Target[],
): string[] {
  if (tables.directories.includes(root)) return [];
  const planned = new Set(targets.map((target) => posix.basename(posix.dirname(target.path))));
  return registryDirectories(view, root)
    .filter((name) => !planned.has(name))
    .map((name) => `${posix.join(root, name)} already exists and comes into force`);
}

function managerObstacles(
  view: FileView,
  manager: ManagedBy | undefined,
  config: readonly Target[],
  hosts: readonly Target[],
): Obstacle[] {
  const obstacle = ({ path }: Target, by: ManagedBy): Obstacle => ({
    code: "managed",
    at: { file: path },
    what: by.isElsewhere
      ? `${by.name} has a containerd of its own (${by.evidence}), which does not read ${path}`
      : `${by.name} writes ${path} itself (${by.evidence}) and would undo this change`,
    advice: by.advice,
  });
  const [first] = [...(manager?.ownsConfig ? config : []), ...(manager?.ownsHosts ? hosts : [])];
  if (manager && first) return [obstacle(first, manager)];
  return config.flatMap((target) => {
    const by = fileManager(view, target.path);
    return by ? [obstacle(target, by)] : [];
  });
}
