import path from "node:path";
import type { ImportedConfig, Origin } from "../foreign/imported-config.ts";
import { type ReadText, UnreadableError } from "../parsing/read-text.ts";
import { YamlSource } from "../parsing/yaml-source.ts";
import { ConfigError } from "../parsing/problems.ts";
import { readConfigYml } from "./config-yml.ts";
import type { RegistrySettings, Setting } from "./registry-settings.ts";

/**
 * An environment variable, `NAME=VALUE`. A name alone takes its value from the environment of the
 * Docker client.
 */
export interface Variable extends Setting {
  /** Whether the value contains a variable that a shell or Compose substitutes. */
  readonly isUnresolved: boolean;
}

/** A container as described by a Compose service or a `docker run` command line. */
export interface Container {
  readonly from: Origin;
  readonly image: string;
  readonly environment: readonly Variable[];
  readonly ports: readonly Setting[];
  readonly volumes: readonly Setting[];
  readonly isOnHostNetwork: boolean;
}

const IMAGE =
  /^(?:(?:docker\.io|index\.docker\.io|mirror\.gcr\.io)\/)?(?:library\/)?registry(?::[\w.-]+)?(?:@sha256:[0-9a-f]{64})?$|(?:^|\/)distribution\/distribution(?::|@|$)/;
/** The paths at which registry:2 and registry:3 read their configuration. */
const CONFIG_FILES = new Set(["/etc/docker/registry/config.yml", "/etc/distribution/config.yml"]);
const DEFAULT_ROOT = "/var/lib/registry";
const DEFAULT_PORT = "5000";
/** The notations for the working directory in a command line. */
const WORKING_DIRECTORY = /^(?:\$PWD|\$\{PWD\}|\$\(pwd\))(?=\/|$)/;
const MAX_BYTES = 1024 * 1024;

/** Whether a text contains a variable that a shell or Compose substitutes. */
export function hasVariable(text: string): boolean {
  return /\$\{?[A-Za-z_]/.test(text);
}

/** Recognizes a registry by its image, or by its variables and mounts if the image has another name. */
export function isRegistry({
  image,
  environment,
  volumes,
}: Pick<Container, "image" | "environment" | "volumes">): boolean {
  return (
    IMAGE.test(image) ||
    environment.some(({ value }) => value.startsWith("REGISTRY_PROXY_")) ||
    volumes.some(({ value }) => CONFIG_FILES.has(value.split(":")[1] ?? ""))
  );
}

/**
 * Reads the settings of a registry in a container: its mounted config.yml, and the variables that
 * override it.
 */
export function readContainer(
  container: Container,
  folder: string,
  readFile: ReadText,
  imported: ImportedConfig,
): RegistrySettings {
  const { from } = container;
  const settings = new Map<string, Setting>();
  for (const volume of container.volumes) {
    const [source = "", target = ""] = volume.value.split(":");
    if (!CONFIG_FILES.has(target)) continue;
    const file = path.isAbsolute(source) ? source : path.join(folder, source);
    for (const [key, setting] of readMountedConfig(file, readFile, volume, imported))
      settings.set(key, setting);
  }
  for (const variable of container.environment) {
    const [name = "", ...rest] = variable.value.split("=");
    if (!name.startsWith("REGISTRY_")) continue;
    const value = rest.join("=");
    const key = name.slice("REGISTRY_".length).toLowerCase().replaceAll("_", ".");
    if (!variable.value.includes("=")) {
      imported.reject(variable.from, "takes its value from the environment: write NAME=VALUE");
    } else if (variable.isUnresolved) {
      imported.reject(variable.from, "takes its value from a variable: write the value out");
    } else settings.set(key, { value, from: variable.from });
  }
  const containerPort = settings.get("http.addr")?.value.split(":").at(-1) ?? DEFAULT_PORT;
  const root = settings.get("storage.filesystem.rootdirectory")?.value ?? DEFAULT_ROOT;
  const port = container.isOnHostNetwork
    ? { value: containerPort, from: settings.get("http.addr")?.from ?? from }
    : publishedPort(container.ports, containerPort, imported);
  const data = dataFolder(container.volumes, root, folder);
  return {
    from,
    settings,
    isInContainer: true,
    hostPath: (file) => hostPath(container.volumes, file, folder),
    ...(port ? { port } : {}),
    ...(data ? { folder: data } : {}),
  };
}

function readMountedConfig(
  file: string,
  readFile: ReadText,
  volume: Setting,
  imported: ImportedConfig,
): ReadonlyMap<string, Setting> {
  try {
    return readConfigYml(new YamlSource(file, readFile(file, MAX_BYTES))).settings;
  } catch (error) {
    if (error instanceof UnreadableError) {
      imported.reject(volume.from, `its configuration ${file} ${error.message}`);
    } else if (error instanceof ConfigError) imported.problems.push(...error.problems);
    else throw error;
    return new Map();
  }
}

/**
 * Selects the published port of the registry from mappings such as `5010:5000` and
 * `127.0.0.1:5010:5000/tcp`. Of several, prefers the one that most machines can reach.
 */
function publishedPort(
  ports: readonly Setting[],
  containerPort: string,
  imported: ImportedConfig,
): Setting | undefined {
  const matching: (Setting & { readonly address: string | undefined })[] = [];
  for (const { value, from } of ports) {
    const [target = "", published, address] = value
      .replace(/\/tcp$/, "")
      .split(":")
      .toReversed();
    if (target !== containerPort || published === undefined) continue;
    const hostPort = address === undefined ? published : `${address}:${published}`;
    matching.push({ value: hostPort, from, address });
  }
  const chosen =
    matching.find(({ address }) => address === undefined || address === "0.0.0.0") ??
    matching.find(({ address }) => !address?.startsWith("127.")) ??
    matching[0];
  for (const { from } of matching) {
    if (from !== chosen?.from)
      imported.skip(from, "an upstream has only one port, and another one was imported");
  }
  const [first] = ports;
  if (!chosen && first) {
    imported.skip(
      first.from,
      `no port is mapped to the registry's port, ${containerPort}: if nodes use one, set it as port of the upstream`,
    );
  }
  return chosen;
}

/** The data directory on the host, or for a named volume the shell command that prints it. */
function dataFolder(volumes: readonly Setting[], root: string, base: string): Setting | undefined {
  for (const { value, from } of volumes) {
    const [source = "", target = ""] = value.split(":");
    if (target !== root || source === "") continue;
    const resolved = source.replace(WORKING_DIRECTORY, ".");
    // Home directories and variables cannot be resolved.
    if (/^~|\$/.test(resolved)) return undefined;
    const isNamed = !/^[./]/.test(resolved);
    const folder = isNamed
      ? `"$(docker volume inspect --format '{{.Mountpoint}}' ${resolved})"`
      : path.resolve(base, resolved);
    return { value: folder, from };
  }
  return undefined;
}

/** The path on the host of a file in the container, if the file is in a bind mount. */
function hostPath(volumes: readonly Setting[], file: string, base: string): string | undefined {
  for (const { value } of volumes) {
    const [source = "", target = ""] = value.split(":");
    const resolved = source.replace(WORKING_DIRECTORY, ".");
    const isMounted = target !== "" && (file === target || file.startsWith(`${target}/`));
    // Named volumes, home directories and variables cannot be resolved.
    if (isMounted && /^[./]/.test(resolved) && !resolved.includes("$")) {
      return path.join(path.resolve(base, resolved), file.slice(target.length));
    }
  }
  return undefined;
}
