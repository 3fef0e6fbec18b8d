import { z } from "zod";
import { type Draft, originIn } from "../foreign/draft.ts";
import type { ReadText } from "../files.ts";
import type { Path, YamlSource } from "../positions.ts";
import { type Container, isRegistryImage, readContainer } from "./container.ts";
import type { Fact, RegistryFacts } from "./facts.ts";

const scalar = z.union([z.string(), z.number(), z.boolean(), z.null()]);
const service = z.object({
  image: z.string().nullish(),
  environment: z.union([z.record(z.string(), scalar), z.array(scalar)]).nullish(),
  ports: z
    .array(
      z.union([
        scalar,
        z.object({ published: scalar, target: scalar, host_ip: z.string().nullish() }),
      ]),
    )
    .nullish(),
  volumes: z
    .array(z.union([z.string(), z.object({ source: z.string().nullish(), target: z.string() })]))
    .nullish(),
  network_mode: z.string().nullish(),
});
const file = z.object({ services: z.record(z.string(), service.nullable()) });

export function isCompose(value: unknown): boolean {
  return typeof value === "object" && value !== null && "services" in value;
}

/** The registries among the services of a Compose file; the others are nobody's concern here. */
export function readCompose(
  source: YamlSource,
  folder: string,
  readFile: ReadText,
  draft: Draft,
): RegistryFacts[] {
  const parsed = file.safeParse(source.value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const at = issue?.path ?? [];
    draft.refuse(originIn(source, at), `is not as Compose has it: ${issue?.message ?? ""}`);
    return [];
  }
  const found: RegistryFacts[] = [];
  for (const [name, description] of Object.entries(parsed.data.services)) {
    const at = ["services", name];
    const image = description?.image ?? "";
    if (!description || !isRegistryImage(image)) continue;
    const container = containerOf(source, at, image, description);
    found.push(readContainer(container, folder, readFile, draft));
  }
  if (found.length === 0) {
    const message = "none of them is of the image registry:2 or registry:3";
    draft.refuse(originIn(source, ["services"]), message);
  }
  return found;
}

function containerOf(
  source: YamlSource,
  at: Path,
  image: string,
  { environment, ports, volumes, network_mode }: z.infer<typeof service>,
): Container {
  const facts = (key: string, values: readonly (readonly [PropertyKey, string])[]): Fact[] =>
    values.map(([position, value]) => ({ value, from: originIn(source, [...at, key, position]) }));
  const pairs: [PropertyKey, string][] = Array.isArray(environment)
    ? environment.map((one, index) => [index, String(one)])
    : Object.entries(environment ?? {}).map(([name, value]) => [name, `${name}=${value ?? ""}`]);
  return {
    from: originIn(source, at),
    image,
    environment: facts("environment", pairs),
    ports: facts(
      "ports",
      (ports ?? []).map((port, index) => [index, portText(port)]),
    ),
    volumes: facts(
      "volumes",
      (volumes ?? []).map((volume, index) => [
        index,
        typeof volume === "string" ? volume : `${volume.source ?? ""}:${volume.target}`,
      ]),
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
  return `${address}${String(port.published)}:${String(port.target)}`;
}
