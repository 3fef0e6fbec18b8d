import { type ImportedConfig, originIn } from "../foreign/imported-config.ts";
import type { YamlSource } from "../parsing/yaml-source.ts";
import { jobKind, STARTS_REGISTRY, startsRegistry } from "./job-command.ts";

/** Where a service says what it runs; jobs of schedulers such as ofelia are labels of what they run in. */
const KEYS = ["command", "entrypoint", "labels"] as const;

/** Notes services of a Compose file that restart containers or collect garbage on a schedule of their own. */
export function noteServiceJobs(source: YamlSource, imported: ImportedConfig): void {
  for (const [name, service] of entriesOf(childOf(source.value, "services"))) {
    for (const key of KEYS) {
      const command = textsIn(childOf(service, key)).join(" ");
      const kind = jobKind(command);
      // A registry that only collects garbage, and ends, is noted where registries are read.
      const isRegistryItself =
        kind === "collects-garbage" && key !== "labels" && isNamedRegistry(service);
      if (kind === undefined || isRegistryItself) continue;
      const from = originIn(source, ["services", name, key]);
      imported.jobs.push({ from, kind, script: undefined });
      if (startsRegistry(command)) imported.warn(from, STARTS_REGISTRY, "registry");
    }
  }
}

function isNamedRegistry(service: unknown): boolean {
  return /(?:^|\/)(?:registry|distribution)(?=[:@]|$)/.test(String(childOf(service, "image")));
}

function childOf(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined;
}

function entriesOf(value: unknown): [string, unknown][] {
  return typeof value === "object" && value !== null ? Object.entries(value) : [];
}

function textsIn(value: unknown): string[] {
  if (typeof value === "string") return [value];
  return entriesOf(value).flatMap(([, child]) => textsIn(child));
}
