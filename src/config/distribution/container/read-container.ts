import path from "node:path";
import type { ImportedConfig } from "../../foreign/imported-config.ts";
import { ConfigError } from "../../parsing/problems.ts";
import { type ReadText, UnreadableError } from "../../parsing/read-text.ts";
import { readConfigYml } from "../config-yml.ts";
import { type Reach, reachOf } from "../reach.ts";
import type { DataSetting, RegistrySettings, Setting } from "../registry-settings.ts";
import { registryCommand } from "./config-location.ts";
import type { Container, Mount, MountSource } from "./container.ts";
import { surroundingsOf } from "./container-surroundings.ts";
import { shownPath } from "./env-file.ts";
import { applyEnvironment } from "./registry-environment.ts";
import { asWritten, unresolvedIn } from "./unresolved.ts";

const DEFAULT_ROOT = "/var/lib/registry";
const MAX_BYTES = 1024 * 1024;

/**
 * Reads the settings of a registry in a container: its configuration file, and the variables that
 * override it. Returns undefined for a container that runs another command of the registry, and after
 * a problem was reported.
 */
export function readContainer(
  container: Container,
  readFile: ReadText,
  imported: ImportedConfig,
): RegistrySettings | undefined {
  const { from } = container;
  const settings = readConfiguration(container, readFile, imported);
  if (!settings) return undefined;
  const problems = imported.problems.length;
  const passwordFile = applyEnvironment(container.environment, settings, imported);
  // What follows from settings that are not known would only hide the cause.
  if (imported.problems.length > problems) return undefined;
  const root = settings.get("storage.filesystem.rootdirectory")?.value ?? DEFAULT_ROOT;
  const data = dataOf(container.mounts, root, imported);
  const pathOnHost = (file: string): string | undefined => hostPath(container.mounts, file);
  return {
    from,
    settings,
    runsIn: container.runsIn,
    isOnHostNetwork: container.network?.value === "host",
    isInContainer: true,
    hostPath: pathOnHost,
    ...(passwordFile ? { passwordFile } : {}),
    surroundings: surroundingsOf(container, pathOnHost),
    reach: reachIn(container, settings, imported),
    ...(data ? { data } : {}),
  };
}

/** The settings of the configuration file; empty if the container uses that of the image. */
function readConfiguration(
  container: Container,
  readFile: ReadText,
  imported: ImportedConfig,
): Map<string, Setting> | undefined {
  const { from, environment } = container;
  const command = registryCommand(container);
  const hasRemote = environment.some(({ name }) => name === "REGISTRY_PROXY_REMOTEURL");
  if ("other" in command) {
    imported.skip(from, `runs ${command.other} and ends: the cache needs no such job`);
    return undefined;
  }
  if ("shell" in command) {
    const why = `its command is a shell script, ${asWritten(command.shell)}, and the settings that it makes are not known`;
    if (!hasRemote) {
      imported.reject(from, `${why}: import the config.yml that the registry gets`);
      return undefined;
    }
    imported.warn(from, why, "clients");
    return new Map();
  }
  for (const file of command.files) {
    const mounted = mountedFile(container.mounts, file);
    if (mounted) return readMounted(mounted, readFile, imported);
  }
  const [file = ""] = command.files;
  if (!command.isNamed) return new Map();
  const where =
    unresolvedIn(file) === undefined
      ? `its configuration ${file} is inside the image`
      : `its configuration depends on ${unresolvedIn(file) ?? ""}, whose value is not known`;
  const advice = "copy it out (docker cp), and import it instead";
  if (hasRemote) imported.warn(from, `${where}: ${advice} if it has more settings`, "clients");
  else imported.reject(from, `${where}: ${advice}`);
  return hasRemote ? new Map() : undefined;
}

interface MountedFile {
  readonly mount: Mount;
  /** The path below the mount's target; empty for the target itself. */
  readonly below: string;
}

/** The mount that a file of the container is in: the innermost one. */
function mountedFile(mounts: readonly Mount[], file: string): MountedFile | undefined {
  const [innermost] = mounts
    .filter(({ target }) => file === target || file.startsWith(`${target.replace(/\/$/, "")}/`))
    .toSorted((a, b) => b.target.length - a.target.length);
  return innermost && { mount: innermost, below: file.slice(innermost.target.length) };
}

function readMounted(
  { mount: { source, from, target }, below }: MountedFile,
  readFile: ReadText,
  imported: ImportedConfig,
): Map<string, Setting> | undefined {
  if ("volume" in source) {
    imported.reject(
      from,
      `its configuration is in the volume ${source.volume}: copy ${target}${below} out (docker cp), and import it instead`,
    );
    return undefined;
  }
  if ("unresolved" in source) {
    imported.reject(from, `its configuration is at ${source.unresolved}, a path that is not known`);
    return undefined;
  }
  if ("content" in source) {
    return readContent(source, imported);
  }
  const file = path.join(source.folder, below);
  const name = shownPath(file);
  try {
    const text = readFile(file, MAX_BYTES);
    imported.alsoRead(name);
    return readText(name, text, imported);
  } catch (error) {
    if (!(error instanceof UnreadableError)) throw error;
    imported.reject(from, `its configuration ${name} ${error.message}`);
    return undefined;
  }
}

/** Reads a configuration that is a text inside of another file. */
function readContent(
  { content, origin, originOf }: Extract<MountSource, { readonly content: string }>,
  imported: ImportedConfig,
): Map<string, Setting> | undefined {
  const later = (line: number): number => (originOf ? origin.line : origin.line + line);
  try {
    const { settings } = readConfigYml(origin.file, content);
    return new Map(
      [...settings].map(([key, { value, from }]) => [
        key,
        { value, from: originOf?.(key) ?? { ...from, line: later(from.line) } },
      ]),
    );
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    for (const { message, line = 0 } of error.problems) {
      imported.reject({ ...origin, line: later(line) }, message);
    }
    return undefined;
  }
}

function readText(
  name: string,
  text: string,
  imported: ImportedConfig,
): Map<string, Setting> | undefined {
  try {
    return readConfigYml(name, text).settings;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    imported.problems.push(...error.problems);
    return undefined;
  }
}

/** From where the registry can be reached. A port that is not known is an error. */
function reachIn(
  container: Container,
  settings: ReadonlyMap<string, Setting>,
  imported: ImportedConfig,
): Reach {
  const ports = container.ports.filter(({ value, from }) => {
    const variable = unresolvedIn(value);
    if (variable === undefined) return true;
    imported.reject(
      from,
      `its port depends on ${variable}, whose value is not known: write it out`,
    );
    return false;
  });
  return reachOf({ ...container, ports }, settings, (from, message) =>
    imported.reject(from, message),
  );
}

/** The data directory on the host: a folder, or a named volume, or a folder inside one. */
function dataOf(
  mounts: readonly Mount[],
  root: string,
  imported: ImportedConfig,
): DataSetting | undefined {
  const mounted = mountedFile(mounts, path.posix.resolve("/", root));
  if (!mounted) return undefined;
  const { source, from } = mounted.mount;
  const below = mounted.below.replace(/^\/+/, "");
  if ("folder" in source) return { data: { folder: path.join(source.folder, below) }, from };
  if ("volume" in source) {
    const { volume } = source;
    const subpath = path.posix.relative("/", path.posix.join("/", source.subpath ?? "", below));
    return { data: subpath === "" ? { volume } : { volume, subpath }, from };
  }
  const name = "unresolved" in source ? source.unresolved : "";
  imported.warn(
    from,
    `where its data is, ${name}, is not known: take it over with \`entrepot adopt DIRECTORY\``,
    "clients",
  );
  return undefined;
}

/** The path on the host of a file in the container, if the file is in a bind mount. */
function hostPath(mounts: readonly Mount[], file: string): string | undefined {
  const mounted = mountedFile(mounts, file);
  if (!mounted || !("folder" in mounted.mount.source)) return undefined;
  return path.join(mounted.mount.source.folder, mounted.below);
}
