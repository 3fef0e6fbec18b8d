import path from "node:path";
import type { ImportedConfig, Origin } from "../foreign/imported-config.ts";
import { type ReadText, UnreadableError } from "../parsing/read-text.ts";
import { YamlSource } from "../parsing/yaml-source.ts";
import { ConfigError } from "../parsing/problems.ts";
import { readConfigYml } from "./config-yml.ts";
import type { Fact, RegistrySettings } from "./registry-settings.ts";

/** `NAME=VALUE`; a name alone has its value from whoever starts the container. */
export interface Variable extends Fact {
  /** Whether a part of its value is a variable of somebody else's. */
  readonly isOpen: boolean;
}

/** A container as Compose or a command line describes it. */
export interface Container {
  readonly from: Origin;
  readonly image: string;
  readonly environment: readonly Variable[];
  readonly ports: readonly Fact[];
  readonly volumes: readonly Fact[];
  readonly isOnHostNetwork: boolean;
}

const IMAGE =
  /^(?:(?:docker\.io|index\.docker\.io|mirror\.gcr\.io)\/)?(?:library\/)?registry(?::[\w.-]+)?(?:@sha256:[0-9a-f]{64})?$|(?:^|\/)distribution\/distribution(?::|@|$)/;
/** registry:2 and registry:3 look in different places. */
const CONFIG_FILES = new Set(["/etc/docker/registry/config.yml", "/etc/distribution/config.yml"]);
const DATA = "/var/lib/registry";
const DEFAULT_PORT = "5000";
/** How a command line calls the folder it is typed in. */
const HERE = /^(?:\$PWD|\$\{PWD\}|\$\(pwd\))(?=\/|$)/;
const LIMIT = 1024 * 1024;

/** Whether a text needs a shell, or Compose, to be complete. */
export function hasVariable(text: string): boolean {
  return /\$\{?[A-Za-z_]/.test(text);
}

/** By its image; by what it is told where that is a copy, with any name. */
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

/** What a container's registry is set to: its config.yml, and the variables that beat it. */
export function readContainer(
  container: Container,
  folder: string,
  readFile: ReadText,
  draft: ImportedConfig,
): RegistrySettings {
  const { from } = container;
  const settings = new Map<string, Fact>();
  for (const volume of container.volumes) {
    const [host = "", inside = ""] = volume.value.split(":");
    if (!CONFIG_FILES.has(inside)) continue;
    const file = path.isAbsolute(host) ? host : path.join(folder, host);
    for (const [key, fact] of mounted(file, readFile, volume, draft)) settings.set(key, fact);
  }
  for (const variable of container.environment) {
    const [name = "", ...rest] = variable.value.split("=");
    if (!name.startsWith("REGISTRY_")) continue;
    const value = rest.join("=");
    const key = name.slice("REGISTRY_".length).toLowerCase().replaceAll("_", ".");
    if (!variable.value.includes("=")) {
      draft.refuse(variable.from, "has its value from outside: write NAME=VALUE");
    } else if (variable.isOpen) {
      draft.refuse(variable.from, "takes its value from a variable: write the value out");
    } else settings.set(key, { value, from: variable.from });
  }
  const inside = settings.get("http.addr")?.value.split(":").at(-1) ?? DEFAULT_PORT;
  const root = settings.get("storage.filesystem.rootdirectory")?.value ?? DATA;
  const port = container.isOnHostNetwork
    ? { value: inside, from: settings.get("http.addr")?.from ?? from }
    : publishedPort(container.ports, inside, draft);
  const data = folderOf(container.volumes, root, folder);
  return {
    from,
    settings,
    isContained: true,
    place: (file) => hostPath(container.volumes, file, folder),
    ...(port ? { port } : {}),
    ...(data ? { folder: data } : {}),
  };
}

function mounted(
  file: string,
  readFile: ReadText,
  volume: Fact,
  draft: ImportedConfig,
): ReadonlyMap<string, Fact> {
  try {
    return readConfigYml(new YamlSource(file, readFile(file, LIMIT))).settings;
  } catch (error) {
    if (error instanceof UnreadableError) {
      draft.refuse(volume.from, `its configuration ${file} ${error.message}`);
    } else if (error instanceof ConfigError) draft.problems.push(...error.problems);
    else throw error;
    return new Map();
  }
}

/** `5010:5000`, `127.0.0.1:5010:5000/tcp`: of those whose end inside is the registry's, the most open. */
function publishedPort(
  ports: readonly Fact[],
  inside: string,
  draft: ImportedConfig,
): Fact | undefined {
  const leading: (Fact & { readonly address: string | undefined })[] = [];
  for (const { value, from } of ports) {
    const [target = "", published, address] = value
      .replace(/\/tcp$/, "")
      .split(":")
      .toReversed();
    if (target !== inside || published === undefined) continue;
    const own = address === undefined ? published : `${address}:${published}`;
    leading.push({ value: own, from, address });
  }
  const chosen =
    leading.find(({ address }) => address === undefined || address === "0.0.0.0") ??
    leading.find(({ address }) => !address?.startsWith("127.")) ??
    leading[0];
  for (const { from } of leading) {
    if (from !== chosen?.from)
      draft.leave(from, "a registry has one port here, and another was taken");
  }
  const [some] = ports;
  if (!chosen && some) {
    draft.leave(
      some.from,
      `no port leads to the registry's own, ${inside}: if nodes ask at one, give it to the upstream`,
    );
  }
  return chosen;
}

/** A volume with a name is somewhere that only Docker knows. */
function folderOf(volumes: readonly Fact[], root: string, base: string): Fact | undefined {
  for (const { value, from } of volumes) {
    const [host = "", inside = ""] = value.split(":");
    if (inside !== root || host === "") continue;
    const written = host.replace(HERE, ".");
    // Whose home, and what is in a variable, is not known here.
    if (/^~|\$/.test(written)) return undefined;
    const isNamed = !/^[./]/.test(written);
    const folder = isNamed
      ? `"$(docker volume inspect --format '{{.Mountpoint}}' ${written})"`
      : path.resolve(base, written);
    return { value: folder, from };
  }
  return undefined;
}

/** Where a file of the container is, below one of the folders or files that are mounted. */
function hostPath(volumes: readonly Fact[], file: string, base: string): string | undefined {
  for (const { value } of volumes) {
    const [host = "", inside = ""] = value.split(":");
    const written = host.replace(HERE, ".");
    const isThere = inside !== "" && (file === inside || file.startsWith(`${inside}/`));
    // A volume with a name, a home or a variable is somewhere that is not known here.
    if (isThere && /^[./]/.test(written) && !written.includes("$")) {
      return path.join(path.resolve(base, written), file.slice(inside.length));
    }
  }
  return undefined;
}
