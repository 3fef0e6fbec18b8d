import { explainIssues } from "../parsing/schema-problems.ts";
import { ImportedConfig } from "../foreign/imported-config.ts";
import type { Path, YamlSource } from "../parsing/yaml-source.ts";
import { quote } from "../parsing/problems.ts";
import type { Documents } from "./yaml-documents.ts";
import {
  checkRuntime,
  MIRROR_GROUP,
  MIRROR_VERSION,
  readMirrorConfig,
  readOperatingSystemConfig,
} from "./mirror-config.ts";
import { Reading } from "./manifest-reader.ts";
import { readRegistryConfig, REGISTRY_GROUP, REGISTRY_VERSIONS } from "./registry-config.ts";
import { extension, secret, shoot } from "./manifest-schemas.ts";
import { type Secret, secretOf, Secrets, type SecretsOptions } from "./secrets.ts";

const EXTENSIONS: Readonly<Record<string, string>> = {
  "registry-cache": "RegistryConfig",
  "registry-mirror": "MirrorConfig",
};
const KINDS = "Shoot, RegistryConfig, MirrorConfig, Extension or OperatingSystemConfig";

/** Whether a YAML file is a manifest of Kubernetes rather than an entrepot.yaml. */
export function isManifest(value: unknown): boolean {
  return typeof value === "object" && value !== null && ("apiVersion" in value || "kind" in value);
}

/** Reads a manifest of Gardener's as a configuration. What is wrong is among the draft's problems. */
export function readManifest(
  { source, secrets: beside }: Documents,
  secrets: SecretsOptions,
  draft: ImportedConfig = new ImportedConfig(),
): ImportedConfig {
  const reading = new Reading(source, draft, new Secrets(secrets, readSecrets(beside, draft)));
  const found = draft.carried.length + draft.problems.length;
  readKind(reading, source);
  // A configuration without upstreams would mean the usual five, which nobody asked for here.
  if (draft.carried.length + draft.problems.length === found) {
    reading.refuse(["spec"], "names no registry that is cached: there is nothing to serve");
  }
  return draft;
}

function readSecrets(sources: readonly YamlSource[], draft: ImportedConfig): Map<string, Secret> {
  const secrets = new Map<string, Secret>();
  for (const source of sources) {
    const parsed = secret.safeParse(source.value);
    if (!parsed.success) {
      draft.problems.push(...explainIssues(parsed.error.issues, secret, source));
      continue;
    }
    const { name } = parsed.data.metadata;
    if (secrets.has(name)) {
      draft.problems.push(
        source.problem(["metadata", "name"], `the Secret ${name} is in this file already`),
      );
    } else secrets.set(name, secretOf(parsed.data));
  }
  return secrets;
}

function readKind(reading: Reading, source: YamlSource): void {
  const { apiVersion, kind } = typeOf(source.value);
  switch (kind) {
    case "Shoot":
      // Excerpts of Shoots, as documents print them, often go without; there is one version.
      if (
        apiVersion === undefined ||
        expectVersion(reading, apiVersion, "core.gardener.cloud", ["v1beta1"])
      ) {
        readShoot(reading);
      }
      break;
    case "RegistryConfig":
    case "MirrorConfig":
      readProviderConfig(reading, source.value, []);
      break;
    case "Extension":
      if (expectVersion(reading, apiVersion, "extensions.gardener.cloud", ["v1alpha1"])) {
        readExtension(reading);
      }
      break;
    case "OperatingSystemConfig":
      if (expectVersion(reading, apiVersion, "extensions.gardener.cloud", ["v1alpha1"])) {
        readOperatingSystemConfig(reading, source.value);
      }
      break;
    default:
      reading.refuse(
        ["kind"],
        `${kind === undefined ? "is missing" : `${quote(kind)} is not known here`}: it may be ${KINDS}`,
      );
  }
}

function readShoot(reading: Reading): void {
  const parsed = reading.parse(shoot, reading.source.value, []);
  if (!parsed) return;
  const { provider, extensions, resources } = parsed.spec;
  for (const [index, worker] of (provider?.workers ?? []).entries()) {
    checkRuntime(reading, worker.cri?.name, ["spec", "provider", "workers", index, "cri", "name"]);
  }
  reading.references = resources ?? [];
  let found = 0;
  for (const [index, { type, disabled, providerConfig }] of (extensions ?? []).entries()) {
    const at = ["spec", "extensions", index];
    if (!(type in EXTENSIONS)) continue;
    found += 1;
    if (disabled) reading.leave([...at, "disabled"], `${type} is disabled: it was skipped`);
    else readTyped(reading, type, providerConfig, [...at, "providerConfig"]);
  }
  if (found === 0) {
    const wanted = Object.keys(EXTENSIONS).join(" or ");
    reading.refuse(["spec", "extensions"], `there is none of type ${wanted} in this Shoot`);
  }
}

function readExtension(reading: Reading): void {
  const parsed = reading.parse(extension, reading.source.value, []);
  if (!parsed) return;
  const { type, providerConfig } = parsed.spec;
  if (type in EXTENSIONS) readTyped(reading, type, providerConfig, ["spec", "providerConfig"]);
  else {
    const wanted = Object.keys(EXTENSIONS).join(" and ");
    reading.refuse(["spec", "type"], `${quote(type)} is not known here: ${wanted} are`);
  }
}

function readTyped(reading: Reading, type: string, config: unknown, at: Path): void {
  const { kind } = typeOf(config);
  if (kind === EXTENSIONS[type]) readProviderConfig(reading, config, at);
  else {
    const is = kind === undefined ? "names no kind" : `is a ${quote(kind)}`;
    reading.refuse(
      kind === undefined ? at : [...at, "kind"],
      `${is}: the extension ${type} takes a ${EXTENSIONS[type]}`,
    );
  }
}

function readProviderConfig(reading: Reading, config: unknown, at: Path): void {
  const { apiVersion, kind } = typeOf(config);
  if (kind === "MirrorConfig") {
    if (apiVersion === `${MIRROR_GROUP}/v1alpha3`) {
      reading.refuse(
        [...at, "apiVersion"],
        `there is no v1alpha3 of MirrorConfig, although a page of Gardener's shows it: write ${MIRROR_GROUP}/${MIRROR_VERSION}`,
      );
    } else if (expectVersion(reading, apiVersion, MIRROR_GROUP, [MIRROR_VERSION], at)) {
      readMirrorConfig(reading, config, at);
    }
    return;
  }
  if (!expectVersion(reading, apiVersion, REGISTRY_GROUP, REGISTRY_VERSIONS, at)) return;
  const version = REGISTRY_VERSIONS.find((one) => apiVersion?.endsWith(`/${one}`));
  if (version) readRegistryConfig(reading, config, at, version);
}

function expectVersion(
  reading: Reading,
  apiVersion: string | undefined,
  group: string,
  versions: readonly string[],
  at: Path = [],
): boolean {
  if (versions.some((version) => apiVersion === `${group}/${version}`)) return true;
  const is = apiVersion === undefined ? "is missing" : `${quote(apiVersion)} is not known here`;
  const known = versions.map((version) => `${group}/${version}`).join(", ");
  reading.refuse([...at, "apiVersion"], `${is}: write ${known}`);
  return false;
}

function typeOf(value: unknown): { apiVersion: string | undefined; kind: string | undefined } {
  const text = (key: string): string | undefined => {
    const found: unknown =
      typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined;
    return typeof found === "string" ? found : undefined;
  };
  return { apiVersion: text("apiVersion"), kind: text("kind") };
}
