import type { ImportedConfig } from "../../foreign/imported-config.ts";
import type { ReadText } from "../../parsing/read-text.ts";
import {
  type Container,
  isRegistry,
  mayBeRegistry,
  SETTINGS_IN_IMAGE,
} from "../container/container.ts";
import { readContainer } from "../container/read-container.ts";
import { asWritten, unresolvedIn } from "../container/unresolved.ts";
import type { RegistrySettings } from "../registry-settings.ts";
import { type ComposeFile, loadProject } from "./project.ts";
import { containerOf, envFileVariables, type ServiceContext } from "./service.ts";
import { type ComposeNode, fieldOf } from "./tree.ts";
import { hasValidShape } from "./service-shape.ts";
import { builtContainer } from "./dockerfile.ts";

/** Whether a YAML value is a Compose file, or one that only includes others. */
export function isCompose(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  return "services" in value || ("include" in value && Array.isArray(value.include));
}

/**
 * Reads the registries among the services of a Compose project. Ignores other services.
 *
 * @param files the files of one project, each of which overrides those before it
 */
export function readCompose(
  files: readonly ComposeFile[],
  home: string,
  readFile: ReadText,
  imported: ImportedConfig,
): RegistrySettings[] {
  const problems = imported.problems.length;
  const project = loadProject(files, { home, readFile, imported });
  if (!project) return [];
  const context: ServiceContext = { project, home, readFile, imported };
  const found: RegistrySettings[] = [];
  for (const [name, service] of project.services) {
    const described = registryIn(service, context);
    const container = described && {
      ...described,
      runsIn: { files: files.map(({ file }) => file), service: name },
    };
    const registry = container && readContainer(container, readFile, imported);
    if (registry) found.push(registry);
  }
  if (found.length === 0 && imported.problems.length === problems) {
    const message = "no service has the image registry:2 or registry:3";
    imported.reject((fieldOf(project.root, "services") ?? project.root).from, message);
  }
  return found;
}

/** The container of a service if it is a registry; reports a service that may be one. */
function registryIn(service: ComposeNode, context: ServiceContext): Container | undefined {
  const { imported } = context;
  const described = builtContainer(containerOf(service, context), service, context);
  const hasEnvFile = fieldOf(service, "env_file") !== undefined;
  const couldBeRegistry = isRegistry(described) || looksLikeRegistry(described);
  // The variables that tell a registry may all be in its env file.
  const filed = hasEnvFile && couldBeRegistry ? envFileVariables(service, context) : [];
  const container = { ...described, environment: [...filed, ...described.environment] };
  const variable = unresolvedIn(container.image);
  const image = fieldOf(service, "image");
  if (variable !== undefined && image && !isRegistry(container)) {
    const unknown = `its image ${asWritten(container.image)} is not known`;
    const advice = "write it out, or set the variable in .env";
    if (looksLikeRegistry(container)) imported.reject(image.from, `${unknown}: ${advice}`);
    else imported.warn(image.from, `${unknown}: if it is a registry, ${advice}`, "registry");
    return undefined;
  }
  if (isRegistry(container)) return hasValidShape(service, imported) ? container : undefined;
  if (mayBeRegistry(container)) imported.warn(service.from, SETTINGS_IN_IMAGE, "registry");
  return undefined;
}

/** Whether anything but the image speaks for a registry: a setting, its data directory, its port, its name. */
function looksLikeRegistry({ image, environment, mounts, ports }: Container): boolean {
  return (
    /\b(?:registry|distribution)\b/.test(image) ||
    environment.some(({ name }) => name.startsWith("REGISTRY_")) ||
    mounts.some(({ target }) => target === "/var/lib/registry") ||
    ports.some(({ value }) => /(?:^|:)5000(?:\/tcp)?$/.test(value))
  );
}
