import { posix } from "node:path";
import { CA_FILE_NAME } from "../../config/containerd/hosts-toml.ts";
import {
  DEFAULT_DIRECTORY,
  registryOfDirectory,
} from "../../config/containerd/registry-directory.ts";
import { temporaryPath } from "../files/durable-files.ts";
import type { FileView } from "../files/node-files.ts";
import type { Obstacle, Target, DesiredState } from "../plan.ts";
import { sameState } from "../plan.ts";
import type { Targets, Views } from "../runtime.ts";
import { TomlEditRefused } from "../files/toml-edit.ts";
import type { ManagedBy } from "../managed-by.ts";
import { configChanges } from "./config/config-change.ts";
import type { Configuration } from "./config/configuration.ts";
import { isImported } from "./config/configuration-files.ts";
import { readConfiguration } from "./config/configuration.ts";
import { convert } from "./hosts/convert-mirrors.ts";
import { registryDirectories } from "./hosts/hosts-directories.ts";
import type { RegistryTables } from "./config/registry-tables.ts";
import { registryTables } from "./config/registry-tables.ts";
import { linkedRegistries } from "./hosts/linked-registries.ts";
import { like, newFile, planTrees } from "./hosts/plan-hosts.ts";
import type { ContainerdVersion, Traits } from "./traits.ts";
import { isSupported, traitsOf } from "./traits.ts";

export interface PlannerInput {
  readonly views: Views;
  readonly version: ContainerdVersion;
  /** The main configuration file. */
  readonly main: string;
  readonly desired: DesiredState;
  readonly manager: ManagedBy | undefined;
}

/** Everything that a wired node consists of, and what stands in the way of it. */
export function planTargets(input: PlannerInput): Targets {
  const { views, version, main, desired, manager } = input;
  const view = views.now;
  const traits = traitsOf(version);
  const obstacles: Obstacle[] = [];
  const notes: string[] = [];
  if (!isSupported(version)) {
    const what = `containerd ${version.text} is older than 1.6: its hosts directories lack what is needed`;
    obstacles.push({ code: "version-unsupported", what, advice: "update containerd" });
  }
  if (desired.useDefault && !traits.readsDefaultDirectory) {
    const what = `containerd ${version.text} does not look at a _default directory`;
    const advice = "leave --default out; it works from 1.6.17 and 1.7.24 on";
    obstacles.push({ code: "no-default-directory", what, advice });
  }
  const configuration = readConfiguration(view, main, traits);
  obstacles.push(...configurationObstacles(configuration));
  const pattern = registryTables(configuration, traits);
  const ownDefault = posix.join(posix.dirname(main), "certs.d");
  const certsDir = pattern.directories[0] ?? ownDefault;
  if (obstacles.length > 0) return { targets: [], certsDir, notes, obstacles };

  // Somebody may have edited config.toml since its mirrors were converted: they stay converted.
  const former = registryTables(readConfiguration(views.before, main, traits), traits);
  const isOld = pattern.mirrors.length > 0 || pattern.tls.length > 0;
  const conversion = convert(isOld ? pattern : former, (path) => view.read(path) !== undefined);
  obstacles.push(...conversion.obstacles);
  notes.push(...conversion.notes, ...wildcardNotes(pattern, desired));
  const isHosts = pattern.kind === "hosts" || pattern.kind === "both";
  const inForce = isHosts || pattern.kind === "none" ? pattern.directories : [];
  const caFile = posix.join(posix.dirname(main), CA_FILE_NAME);
  const trees = planTrees({
    view,
    desired,
    conversion,
    inForce,
    root: certsDir,
    traits,
    caFile,
  });
  obstacles.push(...trees.obstacles, ...linkedRegistries(view, certsDir, trees.targets));
  notes.push(...trees.notes);
  const copies = copiesOf(view, inForce, certsDir, new Set(trees.targets.map((tree) => tree.path)));
  if (copies.length > 0) {
    const others = pattern.directories.slice(1).join(", ");
    notes.push(
      `what stands in ${others} is copied to ${certsDir}: one directory is all that every containerd reads`,
    );
  }
  notes.push(...comingIntoForce(view, pattern, certsDir, trees.targets));
  const config = configTargets(view, configuration, pattern, certsDir, traits, obstacles);
  obstacles.push(...managerObstacles(manager, config, trees.targets));
  const ca = authorityTargets(view, caFile, desired, obstacles);
  return { targets: [...ca, ...copies, ...trees.targets, ...config], certsDir, notes, obstacles };
}

/** Before every hosts.toml that names it: one that is missing fails every pull of the registry. */
function authorityTargets(
  view: FileView,
  path: string,
  desired: DesiredState,
  obstacles: Obstacle[],
): Target[] {
  if (desired.cacheCa === undefined) return [];
  const after = newFile(desired.cacheCa);
  const present = view.read(path);
  if (present !== undefined && !sameState(present, after) && !desired.adopt) {
    const what = `${path} is there and holds something else`;
    const advice = "with --adopt it is replaced (rollback puts it back); or move it away";
    obstacles.push({ code: "foreign-authority", at: { file: path }, what, advice });
  }
  const why = "the authority of the cache's certificate";
  return [{ path, kind: "copy", after, withoutCache: after, why }];
}

function configTargets(
  view: FileView,
  configuration: Configuration,
  pattern: RegistryTables,
  certsDir: string,
  traits: Traits,
  obstacles: Obstacle[],
): Target[] {
  try {
    const texts = configChanges(configuration, pattern, certsDir, traits);
    for (const path of texts.keys()) {
      if (!isImported(configuration.files, temporaryPath(path), traits)) continue;
      const what = `an import of ${configuration.main} takes in every name in ${posix.dirname(path)}, and so what is half written there`;
      const advice = "write *.toml at the end of it in place of *, and plan again";
      obstacles.push({ code: "import-takes-all", at: { file: configuration.main }, what, advice });
    }
    return [...texts].map(([path, text]) => {
      const state = view.read(path);
      const after = state === undefined ? newFile(text) : like(state, text);
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
    const advice = "write it as tables with headers, then plan again";
    obstacles.push({ code: "config-not-editable", at, what: error.message, advice });
    return [];
  }
}

function configurationObstacles(configuration: Configuration): Obstacle[] {
  return configuration.defects.flatMap((defect): Obstacle[] => {
    switch (defect.kind) {
      case "syntax": {
        const { file, line, column, message } = defect;
        const advice = "mend it first; nothing was touched. containerd would not start with it";
        return [{ code: "config-syntax", at: { file, line, column }, what: message, advice }];
      }
      case "odd-bytes": {
        const what = `there is ${defect.what} in it, with which containerd 2.x does not start`;
        const at = { file: defect.file, line: defect.line };
        const advice = "save it as UTF-8 without a byte order mark first; nothing was touched";
        return [{ code: "config-odd-bytes", at, what, advice }];
      }
      case "import-missing": {
        const what = `it imports ${defect.target}, which does not exist: containerd will not start`;
        const at = { file: defect.file, line: defect.line };
        return [{ code: "config-import-missing", at, what, advice: "mend it first" }];
      }
      case "version-too-new": {
        const what = `version = ${defect.version} is newer than this containerd reads`;
        const advice = "write the version that this containerd knows (2 works everywhere)";
        const at = { file: defect.file, line: defect.line };
        return [{ code: "config-version-too-new", at, what, advice }];
      }
      case "cri-disabled": {
        const what = `disabled_plugins names ${defect.plugin}: containerd runs without CRI, and nothing can be proved`;
        const at = { file: defect.file, line: defect.line };
        const advice = "take it out of the list and restart containerd, if pods are to run here";
        return [{ code: "config-cri-disabled", at, what, advice }];
      }
      case "table-replaced":
      case "import-too-new":
      case "table-ignored":
        return [];
    }
  });
}

function wildcardNotes(pattern: RegistryTables, desired: DesiredState): string[] {
  const wildcard = pattern.mirrors.find((mirror) => mirror.registry === "*");
  if (wildcard === undefined) return [];
  const place = `mirrors."*" (${wildcard.file}:${wildcard.line})`;
  const kept = desired.replace
    ? ""
    : "; its endpoints stay behind the cache (--replace leaves them out)";
  return desired.useDefault
    ? [`${place} becomes the directory _default, with the cache first${kept}`]
    : [
        `${place} becomes a directory for each namespace that the cache serves; any other registry is asked directly from now on (--default keeps the catch-all)${kept}`,
      ];
}

/** Without a hosts.toml containerd goes by the certificates themselves, and by a .cert with its key. */
function rankOf(file: string): number {
  if (file === "hosts.toml") return 2;
  return file.endsWith(".cert") ? 1 : 0;
}

/** Files of further directories of a colon path, which count where the first one has none. */
function copiesOf(
  view: FileView,
  directories: readonly string[],
  root: string,
  planned: ReadonlySet<string>,
): Target[] {
  const names = [...planned].map((path) => posix.basename(posix.dirname(path)));
  const taken = new Set([...registryDirectories(view, root), ...names].map(registryOfDirectory));
  const catchesAll = view.isDirectory(posix.join(root, DEFAULT_DIRECTORY));
  const copies: Target[] = [];
  for (const directory of directories.filter((dir) => dir !== root)) {
    for (const name of registryDirectories(view, directory)) {
      if (catchesAll || taken.has(registryOfDirectory(name))) continue;
      taken.add(registryOfDirectory(name));
      // Its certificates first: a hosts.toml that names a missing one fails every pull.
      const inside = view.list(posix.join(directory, name)) ?? [];
      for (const file of inside.toSorted((a, b) => rankOf(a) - rankOf(b))) {
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

/** Directories that were of no effect and will have one. */
function comingIntoForce(
  view: FileView,
  pattern: RegistryTables,
  root: string,
  targets: readonly Target[],
): string[] {
  if (pattern.directories.includes(root)) return [];
  const planned = new Set(targets.map((target) => posix.basename(posix.dirname(target.path))));
  return registryDirectories(view, root)
    .filter((name) => !planned.has(name))
    .map((name) => `${posix.join(root, name)} is there already and comes into force`);
}

function managerObstacles(
  manager: ManagedBy | undefined,
  config: readonly Target[],
  trees: readonly Target[],
): Obstacle[] {
  if (manager === undefined) return [];
  const owned = [...(manager.ownsConfig ? config : []), ...(manager.ownsHosts ? trees : [])];
  const [first] = owned;
  if (first === undefined) return [];
  const what = `${manager.name} writes ${first.path} itself (${manager.evidence}) and would undo this`;
  return [{ code: "managed", at: { file: first.path }, what, advice: manager.advice }];
}
