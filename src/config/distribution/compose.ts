import path from "node:path";
import { z } from "zod";
import { type ImportedConfig, originIn } from "../foreign/imported-config.ts";
import type { ReadText } from "../parsing/read-text.ts";
import type { Path, YamlSource } from "../parsing/yaml-source.ts";
import { type Container, hasVariable, isRegistry, readContainer } from "./container.ts";
import type { RegistrySettings, Setting } from "./registry-settings.ts";

const scalar = z.union([z.string(), z.number(), z.boolean(), z.null()]);
const serviceSchema = z.object({
  image: z.string().nullish(),
  environment: z.union([z.record(z.string(), scalar), z.array(scalar)]).nullish(),
  ports: z
    .array(
      z.union([
        scalar,
        z.object({ published: scalar.optional(), target: scalar, host_ip: z.string().nullish() }),
      ]),
    )
    .nullish(),
  volumes: z
    .array(z.union([z.string(), z.object({ source: z.string().nullish(), target: z.string() })]))
    .nullish(),
  network_mode: z.string().nullish(),
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
  folder: string,
  readFile: ReadText,
  imported: ImportedConfig,
): RegistrySettings[] {
  const parsed = fileSchema.safeParse(resolveMergeKeys(source.value));
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
    const volumeOf = (key: string): string => volumeName(parsed.data, key, folder);
    const container = containerOf(source, at, image, description, volumeOf);
    const isRegistryService = isRegistry(container);
    const unresolved = unresolvedKey(description, isRegistryService);
    if (unresolved !== undefined) {
      const from = originIn(source, [...at, unresolved]);
      imported.reject(from, `has values that only Docker can resolve: ${USE_COMPOSE_CONFIG}`);
      continue;
    }
    if (isRegistryService) found.push(readContainer(container, folder, readFile, imported));
  }
  if (found.length === 0 && imported.problems.length === 0) {
    const message = "no service has the image registry:2 or registry:3";
    imported.reject(originIn(source, ["services"]), message);
  }
  return found;
}

/** Applies YAML 1.1 merge keys (`<<`), which Compose files use and YAML 1.2 does not have. */
function resolveMergeKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(resolveMergeKeys);
  if (typeof value !== "object" || value === null) return value;
  const { "<<": merge, ...own }: { "<<"?: unknown } = value;
  const bases: unknown[] = Array.isArray(merge) ? merge : [merge];
  // Earlier bases take precedence over later ones, and the mapping's own keys over all bases.
  const layers = [...bases.map(resolveMergeKeys).toReversed(), own];
  return Object.fromEntries(
    layers.flatMap((layer) =>
      typeof layer === "object" && layer !== null
        ? Object.entries(layer).map(([key, one]) => [
            key,
            layer === own ? resolveMergeKeys(one) : one,
          ])
        : [],
    ),
  );
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
    hasVariable(image) &&
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
  { environment, ports, volumes, network_mode }: Service,
  volumeOf: (name: string) => string,
): Container {
  const settings = (key: string, values: readonly (readonly [PropertyKey, string])[]): Setting[] =>
    values.map(([position, value]) => ({ value, from: originIn(source, [...at, key, position]) }));
  const pairs: [PropertyKey, string][] = Array.isArray(environment)
    ? environment.map((one, index) => [index, String(one)])
    : Object.entries(environment ?? {}).map(([name, value]) => [
        name,
        value === null ? name : `${name}=${value}`,
      ]);
  return {
    from: originIn(source, at),
    image,
    // Compose escapes a dollar sign as two.
    environment: settings("environment", pairs).map(({ value, from }) => ({
      value: value.replaceAll("$$", "$"),
      from,
      isUnresolved: hasVariable(value.replaceAll("$$", "")),
    })),
    ports: settings(
      "ports",
      (ports ?? []).map((port, index) => [index, portText(port)]),
    ),
    volumes: settings(
      "volumes",
      (volumes ?? []).map((one, index) => {
        const text = typeof one === "string" ? one : `${one.source ?? ""}:${one.target}`;
        const [host = "", ...rest] = text.split(":");
        const isNamed = rest.length > 0 && /^[\w]/.test(host);
        return [index, isNamed ? [volumeOf(host), ...rest].join(":") : text];
      }),
    ),
    isOnHostNetwork: network_mode === "host",
  };
}

type Port =
  | z.infer<typeof scalar>
  | { published?: unknown; target?: unknown; host_ip?: string | null | undefined };

function portText(port: Port): string {
  if (typeof port !== "object" || port === null) return String(port);
  const address = port.host_ip ? `${port.host_ip}:` : "";
  if ((port.published ?? "") === "") return String(port.target);
  return `${address}${String(port.published)}:${String(port.target)}`;
}
