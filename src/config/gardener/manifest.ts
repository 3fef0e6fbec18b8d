import { schemaProblems } from "../parsing/schema-problems.ts";
import { ImportedConfig } from "../foreign/imported-config.ts";
import type { Path, YamlSource } from "../parsing/yaml-source.ts";
import { quote } from "../parsing/problems.ts";
import type { YamlDocuments } from "../foreign/yaml-documents.ts";
import {
  checkRuntime,
  MIRROR_GROUP,
  MIRROR_VERSION,
  readMirrorConfig,
  readOperatingSystemConfig,
} from "./mirror-config.ts";
import { ManifestReader } from "./manifest-reader.ts";
import { readRegistryConfig, REGISTRY_GROUP, REGISTRY_VERSIONS } from "./registry-config.ts";
import { extension, shoot } from "./manifest-schemas.ts";
import { type Secret, secret, secretOf, Secrets, type SecretsOptions } from "../foreign/secrets.ts";

const EXTENSIONS: Readonly<Record<string, string>> = {
  "registry-cache": "RegistryConfig",
  "registry-mirror": "MirrorConfig",
};
const KINDS = ["Shoot", "RegistryConfig", "MirrorConfig", "Extension", "OperatingSystemConfig"];

/** Whether a YAML value is a manifest of Gardener, rather than of Kubernetes or an entrepot.yaml. */
export function isGardenerManifest(value: unknown): boolean {
  const { apiVersion, kind } = typeOf(value);
  return /\.gardener\.cloud\//.test(apiVersion ?? "") || KINDS.some((known) => known === kind);
}

/** Imports a Gardener manifest. Problems are added to the imported configuration. */
export function readManifest(
  { source, secrets: secretDocuments }: YamlDocuments,
  secrets: SecretsOptions,
  imported: ImportedConfig = new ImportedConfig(),
): ImportedConfig {
  const reader = new ManifestReader(
    source,
    imported,
    new Secrets(secrets, readSecrets(secretDocuments, imported)),
  );
  const countBefore = imported.settings.length + imported.problems.length;
  readKind(reader, source);
  // Without upstreams, the configuration would mean the five default registries, which the manifest does not.
  if (imported.settings.length + imported.problems.length === countBefore) {
    reader.reject(["spec"], "configures no registry to cache");
  }
  return imported;
}

function readSecrets(
  sources: readonly YamlSource[],
  imported: ImportedConfig,
): Map<string, Secret> {
  const secrets = new Map<string, Secret>();
  for (const source of sources) {
    const parsed = secret.safeParse(source.value);
    if (!parsed.success) {
      imported.problems.push(...schemaProblems(parsed.error.issues, secret, source));
      continue;
    }
    const { name } = parsed.data.metadata;
    if (secrets.has(name)) {
      imported.problems.push(
        source.problem(["metadata", "name"], `the Secret ${name} is already in this file`),
      );
    } else secrets.set(name, secretOf(parsed.data));
  }
  return secrets;
}

function readKind(reader: ManifestReader, source: YamlSource): void {
  const { apiVersion, kind } = typeOf(source.value);
  switch (kind) {
    case "Shoot":
      // Excerpts of Shoots in documentation often omit apiVersion, and there is only one version.
      if (
        apiVersion === undefined ||
        expectVersion(reader, apiVersion, "core.gardener.cloud", ["v1beta1"])
      ) {
        readShoot(reader);
      }
      break;
    case "RegistryConfig":
    case "MirrorConfig":
      readProviderConfig(reader, source.value, []);
      break;
    case "Extension":
      if (expectVersion(reader, apiVersion, "extensions.gardener.cloud", ["v1alpha1"])) {
        readExtension(reader);
      }
      break;
    case "OperatingSystemConfig":
      if (expectVersion(reader, apiVersion, "extensions.gardener.cloud", ["v1alpha1"])) {
        readOperatingSystemConfig(reader, source.value);
      }
      break;
    default:
      reader.reject(
        ["kind"],
        `${kind === undefined ? "is missing" : `${quote(kind)} is not supported`}: use ${KINDS.slice(0, -1).join(", ")} or ${KINDS.at(-1)}`,
      );
  }
}

function readShoot(reader: ManifestReader): void {
  const parsed = reader.parse(shoot, reader.source.value, []);
  if (!parsed) return;
  const { networking, provider, extensions, resources } = parsed.spec;
  if (networking?.ipFamilies?.includes("IPv6")) {
    const from = reader.origin(["spec", "networking", "ipFamilies"]);
    reader.imported.needs.ipFamilies = { families: networking.ipFamilies, from };
  }
  for (const [index, worker] of (provider?.workers ?? []).entries()) {
    checkRuntime(reader, worker.cri?.name, ["spec", "provider", "workers", index, "cri", "name"]);
  }
  reader.references = resources ?? [];
  let found = 0;
  for (const [index, { type, disabled, providerConfig }] of (extensions ?? []).entries()) {
    const at = ["spec", "extensions", index];
    if (!(type in EXTENSIONS)) continue;
    found += 1;
    if (disabled) reader.skip([...at, "disabled"], `the extension ${type} is disabled`);
    else readTyped(reader, type, providerConfig, [...at, "providerConfig"]);
  }
  if (found === 0) {
    const types = Object.keys(EXTENSIONS).join(" or ");
    reader.reject(["spec", "extensions"], `the Shoot has no extension of type ${types}`);
  }
}

function readExtension(reader: ManifestReader): void {
  const parsed = reader.parse(extension, reader.source.value, []);
  if (!parsed) return;
  const { type, providerConfig } = parsed.spec;
  if (type in EXTENSIONS) readTyped(reader, type, providerConfig, ["spec", "providerConfig"]);
  else {
    const supported = Object.keys(EXTENSIONS).join(" or ");
    reader.reject(["spec", "type"], `${quote(type)} is not supported: use ${supported}`);
  }
}

function readTyped(reader: ManifestReader, type: string, config: unknown, at: Path): void {
  const { kind } = typeOf(config);
  if (kind === EXTENSIONS[type]) readProviderConfig(reader, config, at);
  else {
    const found = kind === undefined ? "has no kind" : `is a ${quote(kind)}`;
    reader.reject(
      kind === undefined ? at : [...at, "kind"],
      `${found}: the extension ${type} needs a ${EXTENSIONS[type]}`,
    );
  }
}

function readProviderConfig(reader: ManifestReader, config: unknown, at: Path): void {
  const { apiVersion, kind } = typeOf(config);
  if (kind === "MirrorConfig") {
    if (apiVersion === `${MIRROR_GROUP}/v1alpha3`) {
      reader.reject(
        [...at, "apiVersion"],
        `MirrorConfig has no version v1alpha3, although Gardener's documentation shows it: use ${MIRROR_GROUP}/${MIRROR_VERSION}`,
      );
    } else if (expectVersion(reader, apiVersion, MIRROR_GROUP, [MIRROR_VERSION], at)) {
      readMirrorConfig(reader, config, at);
    }
    return;
  }
  if (!expectVersion(reader, apiVersion, REGISTRY_GROUP, REGISTRY_VERSIONS, at)) return;
  const version = REGISTRY_VERSIONS.find((candidate) => apiVersion?.endsWith(`/${candidate}`));
  if (version) readRegistryConfig(reader, config, at, version);
}

function expectVersion(
  reader: ManifestReader,
  apiVersion: string | undefined,
  group: string,
  versions: readonly string[],
  at: Path = [],
): boolean {
  if (versions.some((version) => apiVersion === `${group}/${version}`)) return true;
  const found = apiVersion === undefined ? "is missing" : `${quote(apiVersion)} is not supported`;
  const supported = versions.map((version) => `${group}/${version}`).join(" or ");
  reader.reject([...at, "apiVersion"], `${found}: use ${supported}`);
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
