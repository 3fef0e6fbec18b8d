import { existsSync, readdirSync } from "node:fs";
import path from "node:path";
import type { ImportedConfig } from "../foreign/imported-config.ts";
import type { SecretsOptions } from "../foreign/secrets.ts";
import { importFiles } from "../import-files.ts";
import { readText } from "../parsing/read-text.ts";

export const GOLDEN = path.join(import.meta.dir, "../../../test/golden/import");

/** A folder below test/golden/import, the files to import, and the `names` of registries. */
export type GoldenImport = readonly [
  folder: string,
  files: string[],
  names: readonly (readonly [string, string])[],
];

export const GOLDEN_IMPORTS: readonly GoldenImport[] = [
  ["five-registries", ["hub.yml", "ghcr.yml", "quay.yml", "k8s.yml", "kyverno.yml"], []],
  ["registry-3", ["config.yml"], []],
  ["compose", ["compose.yaml"], []],
  ["run-lines", ["start.sh"], [["mirror.gcr.io", "docker.io"]]],
  [
    "quadlet",
    ["hub.container", "ghcr.container", "quay@quay.container", "unrelated.container"],
    [],
  ],
  ["chart-values", ["values.yaml", "umbrella.yaml", "releases.yaml"], []],
  ["ansible", ["site.yml"], []],
  ["systemd", ["hub.service", "docker-registry.service"], []],
  ["kubernetes", ["registries.yaml", "more.yaml"], []],
  ["gardener-shoot", ["shoot.yaml"], []],
  ["gardener-fields", ["shoot.yaml"], []],
  ["gardener-v1alpha1", ["config.yaml"], []],
  ["gardener-v1alpha2", ["config.yaml"], []],
  ["gardener-traps", ["config.yaml"], []],
  ["gardener-mirror", ["config.yaml"], []],
  ["gardener-extension", ["extension.yaml"], []],
  ["gardener-osc", ["osc.yaml"], []],
];

/** Imports files of a golden folder as if they were in the directory /in. */
export function readGolden(
  [name, files, names]: GoldenImport,
  mountOf?: SecretsOptions["mountOf"],
): ImportedConfig {
  const folder = path.join(GOLDEN, name);
  const secrets = path.join(folder, "secrets");
  const realPath = (file: string): string => path.join(folder, path.relative("/in", file));
  return importFiles({
    files: files.map((file) => `/in/${file}`),
    readFile: (file, limit) => readText(realPath(file), limit),
    listFolder: (directory) => namesIn(realPath(directory)),
    secrets: {
      folder: existsSync(secrets) ? "/in/secrets" : undefined,
      readFile: (file, limit) => readText(realPath(file), limit),
      list: (directory) => readdirSync(realPath(directory)).sort(),
      ...(mountOf ? { mountOf } : {}),
    },
    names: new Map(names),
  });
}

function namesIn(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder).sort() : [];
}
