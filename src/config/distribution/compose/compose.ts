import path from "node:path";
import { z } from "zod";
import { type ImportedConfig, type Origin, originIn } from "../../foreign/imported-config.ts";
import type { ReadText } from "../../parsing/read-text.ts";
import type { Path, YamlSource } from "../../parsing/yaml-source.ts";
import { bareContainer, type Container, isRegistry } from "../container/container.ts";
import {
  type HostFolders,
  parseVariable,
  parseVolume,
  typedSource,
} from "../container/notation.ts";
import { readContainer } from "../container/read-container.ts";
import { unresolvedIn } from "../container/unresolved.ts";
import { interpolateAll } from "./interpolation.ts";
import type { RegistrySettings } from "../registry-settings.ts";

const scalar = z.string().nullable();
const words = z.union([z.string(), z.array(z.string())]).nullish();
const serviceSchema = z.object({
  image: z.string().nullish(),
  environment: z.union([z.record(z.string(), scalar), z.array(scalar)]).nullish(),
  ports: z
    .array(
      z.union([
        scalar,
        z.object({
          published: scalar.optional(),
          target: z.string(),
          host_ip: scalar.optional(),
          protocol: scalar.optional(),
        }),
      ]),
    )
    .nullish(),
  volumes: z
    .array(
      z.union([
        z.string(),
        z.object({ type: scalar.optional(), source: scalar.optional(), target: z.string() }),
      ]),
    )
    .nullish(),
  network_mode: z.string().nullish(),
  command: words,
  entrypoint: words,
  extra_hosts: z.union([z.array(z.string()), z.record(z.string(), z.string())]).nullish(),
  dns: words,
  user: z.string().nullish(),
  env_file: z.unknown().optional(),
  extends: z.unknown().optional(),
});
const volumeSchema = z.object({ name: z.string().nullish(), external: z.unknown().optional() });
const fileSchema = z.object({
  name: z.string().nullish(),
  services: z.record(z.string(), serviceSchema.nullable()),
  volumes: z.record(z.string(), volumeSchema.nullable()).nullish(),
});
const USE_COMPOSE_CONFIG = "import the output of `docker compose config` instead";

export function isCompose(value: unknown): boolean {
  return typeof value === "object" && value !== null && "services" in value;
}

/** Reads the registries among the services of a Compose file. Ignores other services. */
export function readCompose(
  source: YamlSource,
  folders: HostFolders,
  readFile: ReadText,
  imported: ImportedConfig,
): RegistrySettings[] {
  const parsed = fileSchema.safeParse(interpolateAll(source.value, () => undefined));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const at = issue?.path ?? [];
    imported.reject(
      originIn(source, at),
      `is not valid in a Compose file: ${issue?.message ?? ""}`,
    );
    return [];
  }
  const found: RegistrySettings[] = [];
  for (const [name, description] of Object.entries(parsed.data.services)) {
    const at = ["services", name];
    if (!description) continue;
    const image = description.image ?? "";
    const volumeOf = (key: string): string => volumeName(parsed.data, key, folders.working);
    const container = containerOf(source, at, image, description, folders, volumeOf);
    const isRegistryService = isRegistry(container);
    const unresolved = unresolvedKey(description, isRegistryService);
    if (unresolved !== undefined) {
      const from = originIn(source, [...at, unresolved]);
      imported.reject(from, `has values that only Docker can resolve: ${USE_COMPOSE_CONFIG}`);
      continue;
    }
    if (!isRegistryService) continue;
    const registry = readContainer(container, readFile, imported);
    if (registry) found.push(registry);
  }
  if (found.length === 0 && imported.problems.length === 0) {
    const message = "no service has the image registry:2 or registry:3";
    imported.reject(originIn(source, ["services"]), message);
  }
  return found;
}

/** The key that makes a registry's settings incomplete in its service; undefined if there is none. */
function unresolvedKey(
  { image, environment, env_file, extends: base }: Service,
  isRegistryService: boolean,
): string | undefined {
  const hasRegistrySettings = JSON.stringify(environment ?? "").includes("REGISTRY_");
  if (base && (isRegistryService || (!image && hasRegistrySettings))) return "extends";
  // The second condition recognizes a copy of the image with all settings in env_file.
  if (env_file && (isRegistryService || /(?:^|\/)registry(?=[:@]|$)/.test(image ?? "")))
    return "env_file";
  return image &&
    unresolvedIn(image) !== undefined &&
    (hasRegistrySettings || /\b(?:registry|distribution)\b/.test(image))
    ? "image"
    : undefined;
}

/** Docker's name of a volume: with the project name as a prefix, unless the file sets the name. */
function volumeName(
  { name, volumes }: z.infer<typeof fileSchema>,
  key: string,
  folder: string,
): string {
  const volume = volumes?.[key];
  if (volume?.name) return volume.name;
  if (volume?.external) return key;
  const project = path.basename(path.resolve(folder)).toLowerCase();
  return `${name ?? project.replaceAll(/[^a-z0-9_-]/g, "")}_${key}`;
}

type Service = z.infer<typeof serviceSchema>;

function containerOf(
  source: YamlSource,
  at: Path,
  image: string,
  {
    environment,
    ports,
    volumes,
    network_mode,
    command,
    entrypoint,
    extra_hosts,
    dns,
    user,
  }: Service,
  folders: HostFolders,
  volumeOf: (name: string) => string,
): Container {
  const originAt = (...more: PropertyKey[]): Origin => originIn(source, [...at, ...more]);
  return {
    ...bareContainer(originIn(source, at), image),
    entrypoint: wordsOf(entrypoint),
    command: wordsOf(command) ?? [],
    environment: Array.isArray(environment)
      ? environment.map((one, index) => parseVariable(one ?? "", originAt("environment", index)))
      : Object.entries(environment ?? {}).map(([name, value]) => ({
          name,
          value: value ?? undefined,
          from: originAt("environment", name),
        })),
    ports: (ports ?? []).map((port, index) => ({
      value: portText(port),
      from: originAt("ports", index),
    })),
    mounts: (volumes ?? []).flatMap((one, index) => {
      const from = originAt("volumes", index);
      const mount =
        typeof one === "string"
          ? parseVolume(one, from, folders)
          : {
              source: typedSource(one.type ?? "", one.source ?? "", folders),
              target: one.target,
              from,
            };
      if (!mount) return [];
      const { source: mounted } = mount;
      return [
        "volume" in mounted ? { ...mount, source: { volume: volumeOf(mounted.volume) } } : mount,
      ];
    }),
    isOnHostNetwork: network_mode === "host",
    extraHosts: listOf(extra_hosts, ":").map(([key, value]) => ({
      value,
      from: originAt("extra_hosts", key),
    })),
    nameServers: (typeof dns === "string" ? [dns] : (dns ?? [])).map((value, index) => ({
      value,
      from: originAt("dns", index),
    })),
    user: user ?? undefined,
  };
}

/** A command as a list, or as a text that Compose splits as a shell does. */
function wordsOf(command: string | readonly string[] | null | undefined): string[] | undefined {
  if (command === undefined || command === null) return undefined;
  return typeof command === "string" ? command.split(/\s+/).filter(Boolean) : [...command];
}

/** Entries of a list, or of a mapping whose keys and values are joined. */
function listOf(
  given: readonly string[] | Readonly<Record<string, string>> | null | undefined,
  separator: string,
): [PropertyKey, string][] {
  if (Array.isArray(given)) return given.map((value: string, index) => [index, value]);
  return Object.entries(given ?? {}).map(([key, value]) => [key, `${key}${separator}${value}`]);
}

type Port = NonNullable<Service["ports"]>[number];

function portText(port: Port): string {
  if (typeof port !== "object" || port === null) return String(port);
  const host = port.host_ip?.includes(":") ? `[${port.host_ip}]` : port.host_ip;
  const address = host ? `${host}:` : "";
  const inside = `${port.target}/${port.protocol ?? "tcp"}`;
  return port.published ? `${address}${port.published}:${inside}` : inside;
}
