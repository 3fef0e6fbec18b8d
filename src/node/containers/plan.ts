import type { Registry, RegistryMirror } from "../../config/containers/registries-conf.ts";
import { cacheMirror, registryTable } from "../../config/containers/registries-conf.ts";
import type { FileView } from "../files/node-files.ts";
import { newFile, withText } from "../files/node-files.ts";
import { cacheCaTargets } from "../cache-ca.ts";
import { managedFileObstacles } from "../managed-file.ts";
import type { DesiredState, Obstacle, Target } from "../plan.ts";
import type { Targets } from "../runtime.ts";
import type { PlacedRegistry, Registries } from "./registries.ts";
import { OWN_PATH, isOwnForm, narrower, readRegistries, ruling } from "./registries.ts";
import type { Engine } from "./connection.ts";

const OWNERSHIP = [
  "# managed by entrepot",
  "# Change it with `entrepot node apply`; `entrepot node rollback` undoes it.",
];

export interface PlanInput {
  /** The files before the wiring. */
  readonly view: FileView;
  readonly engine: Engine;
  readonly desired: DesiredState;
}

/** One file of our own, in which each registry has the cache as its first mirror. */
export function planTargets({ view, engine, desired }: PlanInput): Targets {
  const url = new URL(desired.cache);
  const registries = readRegistries(view);
  const obstacles: Obstacle[] = [
    ...engineObstacles(engine, desired),
    ...registries.defects.map(({ at, what }) => {
      const advice = `fix the syntax first: every pull of ${engine.title} fails with it`;
      return { code: "config-syntax", at, what, advice };
    }),
    ...managerObstacles(view),
  ];
  const notes: string[] = [];
  const entries = desired.namespaces.map((name) => {
    const foreign = foreignEntry(registries, name);
    obstacles.push(...foreignObstacles(foreign, engine, desired));
    for (const entry of narrower(registries, name)) {
      const at = `${entry.file}:${entry.line}`;
      notes.push(`${at}: names that begin with ${entry.prefix}/ follow this entry, not the cache`);
    }
    return entryOf(name, url, foreign, desired);
  });
  const caFile = `/etc/containers/certs.d/${url.host}/ca.crt`;
  const ca = cacheCaTargets(view, caFile, desired);
  obstacles.push(...ca.obstacles);
  const original = view.read(OWN_PATH);
  const text = [...OWNERSHIP, "", ...entries.map(registryTable)].join("\n");
  const target: Target = {
    path: OWN_PATH,
    kind: "hosts",
    after: original === undefined ? newFile(text) : withText(original, text),
    // Without it, what other files say of these registries applies again.
    withoutCache: original,
    why: `mirrors of ${desired.namespaces.join(", ")}`,
  };
  const certsDir = "/etc/containers/registries.conf.d";
  return { targets: [...ca.targets, target], certsDir, notes, obstacles };
}

function engineObstacles({ title, version, traits }: Engine, desired: DesiredState): Obstacle[] {
  const found: Obstacle[] = [];
  if (!traits.readsDropIns) {
    const what = `${title} ${version.text} does not read registries.conf.d`;
    found.push({ code: "version-unsupported", what, advice: `update ${title}` });
  }
  const withPort = desired.namespaces.filter((name) => name.includes(":"));
  if (withPort.length > 0) {
    const what = `${title} asks a mirror by the path, and a name with a port cannot be part of one: ${withPort.join(", ")}`;
    const advice =
      "leave these registries out; a port of the cache's own for each of them (`port` in entrepot.yaml) can be written by hand";
    found.push({ code: "name-with-port", what, advice });
  }
  if (desired.useDefault) {
    const what = `${title} has no mirror for every other registry`;
    found.push({ code: "no-default", what, advice: "omit --default" });
  }
  return found;
}

function managerObstacles(view: FileView): Obstacle[] {
  const daemon = "/etc/machine-config-daemon";
  if (view.isDirectory(daemon)) {
    const what = `OpenShift's Machine Config Operator writes /etc/containers itself (${daemon} exists) and would undo this change`;
    const advice = "use an ImageDigestMirrorSet and an ImageTagMirrorSet";
    return [{ code: "managed", at: { file: OWN_PATH }, what, advice }];
  }
  return managedFileObstacles(view, OWN_PATH, "the mirrors");
}

/** What another file says of this registry, or a file of our own name that others wrote. */
function foreignEntry(registries: Registries, name: string): PlacedRegistry | undefined {
  const own = registries.registries.filter(({ file }) => file === OWN_PATH);
  const others = isOwnForm(own)
    ? registries.registries.filter(({ file }) => file !== OWN_PATH)
    : registries.registries;
  return ruling({ registries: others }, name);
}

function foreignObstacles(
  foreign: PlacedRegistry | undefined,
  { title, traits }: Engine,
  { adopt, replace }: DesiredState,
): Obstacle[] {
  if (foreign === undefined) return [];
  const { file, line, prefix } = foreign;
  const at = { file, line };
  if (isReadAfterOwn(file) && !prefix.startsWith("*.")) {
    const what = `this file is read after ${OWN_PATH}, and its entry for ${prefix} would replace the one there`;
    const advice = "remove the entry, or rename the file so that it sorts before 50-entrepot.conf";
    return [{ code: "shadowed", at, what, advice }];
  }
  if (!adopt) {
    const what = `${file} has an entry for ${prefix}, which the one of the cache would replace`;
    const advice = "use --adopt to keep its mirrors after the cache, or leave this registry out";
    return [{ code: "foreign-registry", at, what, advice }];
  }
  if (foreign.blocked) {
    const what = `${prefix} is blocked here`;
    return [{ code: "blocked", at, what, advice: "leave this registry out" }];
  }
  if (foreign.mirrorByDigestOnly && !replace && !traits.knowsPullFromMirror) {
    const what = `its mirrors are for digests only, which this ${title} cannot say of single mirrors`;
    return [{ code: "digest-only", at, what, advice: "use --replace to drop these mirrors" }];
  }
  return [];
}

/** A mirror as `mirror-by-digest-only` of its registry has it, which would hold for the cache too. */
function forDigestsOnly({ location, insecure }: RegistryMirror): RegistryMirror {
  return { location, ...(insecure ? { insecure } : {}), pullFromMirror: "digest-only" };
}

/** Drop-ins of the system are read by name, and those of a user after all of them. */
export function isReadAfterOwn(file: string): boolean {
  if (file === OWN_PATH || file.endsWith("/registries.conf")) return false;
  return !file.startsWith("/etc/") || file > OWN_PATH;
}

function entryOf(
  name: string,
  url: URL,
  foreign: PlacedRegistry | undefined,
  { adopt, replace }: DesiredState,
): Registry {
  const cache = cacheMirror(url.host, name, url.protocol === "http:");
  if (foreign === undefined || !adopt) return { prefix: name, location: name, mirrors: [cache] };
  const { location, insecure, mirrorByDigestOnly, mirrors } = foreign;
  const others = replace ? [] : mirrors.filter((mirror) => mirror.location !== cache.location);
  return {
    prefix: name,
    location,
    ...(insecure ? { insecure } : {}),
    mirrors: [cache, ...(mirrorByDigestOnly ? others.map(forDigestsOnly) : others)],
  };
}
