import path from "node:path";
import { z } from "zod";
import { type ImportedConfig, originIn } from "../foreign/imported-config.ts";
import type { ReadText } from "../parsing/read-text.ts";
import type { Path, YamlSource } from "../parsing/yaml-source.ts";
import { type Container, hasVariable, isRegistry, readContainer } from "./container.ts";
import type { Fact, RegistrySettings } from "./registry-settings.ts";

const scalar = z.union([z.string(), z.number(), z.boolean(), z.null()]);
const service = z.object({
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
const volume = z.object({ name: z.string().nullish(), external: z.unknown().optional() });
const file = z.object({
  name: z.string().nullish(),
  services: z.record(z.string(), service.nullable()),
  volumes: z.record(z.string(), volume.nullable()).nullish(),
});
const ELSEWHERE = "import what `docker compose config` prints";

export function isCompose(value: unknown): boolean {
  return typeof value === "object" && value !== null && "services" in value;
}

/** The registries among the services of a Compose file; the others are nobody's concern here. */
export function readCompose(
  source: YamlSource,
  folder: string,
  readFile: ReadText,
  draft: ImportedConfig,
): RegistrySettings[] {
  const parsed = file.safeParse(merged(source.value));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const at = issue?.path ?? [];
    draft.refuse(originIn(source, at), `is not as Compose has it: ${issue?.message ?? ""}`);
    return [];
  }
  const found: RegistrySettings[] = [];
  for (const [name, description] of Object.entries(parsed.data.services)) {
    const at = ["services", name];
    if (!description) continue;
    const image = description.image ?? "";
    const volumeOf = (own: string): string => volumeName(parsed.data, own, folder);
    const container = containerOf(source, at, image, description, volumeOf);
    const isOurs = isRegistry(container);
    const open = openKey(description, isOurs);
    if (open !== undefined) {
      const from = originIn(source, [...at, open]);
      draft.refuse(from, `holds what only Docker can complete: ${ELSEWHERE}`);
      continue;
    }
    if (isOurs) found.push(readContainer(container, folder, readFile, draft));
  }
  if (found.length === 0 && draft.problems.length === 0) {
    const message = "none of them is of the image registry:2 or registry:3";
    draft.refuse(originIn(source, ["services"]), message);
  }
  return found;
}

/** The merge key of YAML 1.1, by which services share settings, and which YAML 1.2 does not know. */
function merged(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(merged);
  if (typeof value !== "object" || value === null) return value;
  const { "<<": given, ...own }: { "<<"?: unknown } = value;
  const bases: unknown[] = Array.isArray(given) ? given : [given];
  // What is named first counts, and what is written beside them more than all.
  const layers = [...bases.map(merged).toReversed(), own];
  return Object.fromEntries(
    layers.flatMap((layer) =>
      typeof layer === "object" && layer !== null
        ? Object.entries(layer).map(([key, one]) => [key, layer === own ? merged(one) : one])
        : [],
    ),
  );
}

/** The key for which a registry's settings are not all in its service. */
function openKey(
  { image, environment, env_file, extends: base }: Service,
  isOurs: boolean,
): string | undefined {
  const isTold = JSON.stringify(environment ?? "").includes("REGISTRY_");
  if (base && (isOurs || (!image && isTold))) return "extends";
  // A copy of the image, all of whose settings are elsewhere.
  if (env_file && (isOurs || /(?:^|\/)registry(?=[:@]|$)/.test(image ?? ""))) return "env_file";
  return image && hasVariable(image) && (isTold || /\b(?:registry|distribution)\b/.test(image))
    ? "image"
    : undefined;
}

/** What Docker calls a volume: with the name of the project before it, or as it is written. */
function volumeName({ name, volumes }: z.infer<typeof file>, own: string, folder: string): string {
  const described = volumes?.[own];
  if (described?.name) return described.name;
  if (described?.external) return own;
  const project = path.basename(path.resolve(folder)).toLowerCase();
  return `${name ?? project.replaceAll(/[^a-z0-9_-]/g, "")}_${own}`;
}

type Service = z.infer<typeof service>;

function containerOf(
  source: YamlSource,
  at: Path,
  image: string,
  { environment, ports, volumes, network_mode }: Service,
  volumeOf: (name: string) => string,
): Container {
  const facts = (key: string, values: readonly (readonly [PropertyKey, string])[]): Fact[] =>
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
    // Two dollar signs are how Compose writes one.
    environment: facts("environment", pairs).map(({ value, from }) => ({
      value: value.replaceAll("$$", "$"),
      from,
      isOpen: hasVariable(value.replaceAll("$$", "")),
    })),
    ports: facts(
      "ports",
      (ports ?? []).map((port, index) => [index, portText(port)]),
    ),
    volumes: facts(
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
