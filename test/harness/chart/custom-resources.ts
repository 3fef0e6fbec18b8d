import path from "node:path";
import ts from "typescript";
import { ensurePackage } from "../../../scripts/components/npm-package.mjs";
import type { Manifest } from "../pods/helm.ts";
import { tempDir } from "../temp-dir.ts";

/** Types made from the definitions of the resources that others bring. */
const PACKAGES = {
  "@kubernetes-models/apimachinery": {
    version: "3.0.2",
    integrity:
      "sha512-6Vbzr/tinxPBGGdfYjXiV9WPj8PEhyiqGJiWhXrsihK7h6glPj4HKUxZ0YwYXH/5uucm/NVef/xY3vZ4Crj1Fg==",
  },
  "@kubernetes-models/base": {
    version: "6.0.1",
    integrity:
      "sha512-pXKCFeSoL6RsMxoPDwaJ5JtijVjeuNCacgtYS9dImF7qFdzdc9lcQbem6y6Ug7/K6/bFOWdTu3qIX88IK81o0A==",
  },
  "@kubernetes-models/cert-manager": {
    version: "6.0.0",
    integrity:
      "sha512-PvvzvJEnlEC64NC8HUUB4PFjFaBBNeYuO875Eu/FeMZN1OKm2DOXATRpo0WVCh5D2xbfhn30eUqKL3IrnQMX7w==",
  },
  "@kubernetes-models/gateway-api": {
    version: "2.0.0",
    integrity:
      "sha512-e7SY7EkCGRHy5wHkaGhP32v7V1L+gBalfoqZDFDWn5k9Q7+IW6uz9jNWgOZ9R/Hv5NWyAFYaA01ET2qsysVt5A==",
  },
  "@kubernetes-models/prometheus-operator": {
    version: "6.0.0",
    integrity:
      "sha512-ySNW4T6U6Vn86bmcJ/emmAYJ/UrzpNvzxWexWJSALwgiO4FqCgL6WoqFsOReSiMhw/LlF+MljQvoiwD3RnaGmg==",
  },
  "kubernetes-models": {
    version: "5.1.0",
    integrity:
      "sha512-ym4Kiyr8BzGIWj4f853ytVYES1B8C1BdONRP5zodItPD1o//OEKuTwC5nFV3ZJtFGeMqOFbIYkpunSVXSlHS8g==",
  },
} as const;

/** Where the type of a resource is. There are none of Grafana's operator and of the vertical autoscaler. */
const TYPES: Readonly<Record<string, string>> = {
  Certificate: "@kubernetes-models/cert-manager/cert-manager.io/v1/Certificate",
  HTTPRoute: "@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1/HTTPRoute",
  PrometheusRule: "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PrometheusRule",
  ServiceMonitor: "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor",
};

export function hasCustomType({ kind }: Manifest): boolean {
  return kind in TYPES;
}

/** What TypeScript says of manifests as values of their types: unknown fields, missing ones, other types. */
export async function customResourceProblems(
  manifests: readonly Manifest[],
): Promise<readonly string[]> {
  const paths: Record<string, string[]> = {};
  for (const [name, { version, integrity }] of Object.entries(PACKAGES)) {
    const folder = await ensurePackage(`${name}@${version}`, integrity);
    paths[`${name}/*`] = [`${folder}/*`];
    paths[name] = [path.join(folder, "index")];
  }
  await using folder = await tempDir("types");
  const file = folder.file("manifests.ts");
  const lines = manifests.map(
    (manifest, index) =>
      `import type { I${manifest.kind} as Type${index} } from "${TYPES[manifest.kind]}";\n` +
      `export const manifest${index}: Type${index} = ${JSON.stringify(manifest, null, 1)};\n`,
  );
  await Bun.write(file, lines.join("\n"));
  const program = ts.createProgram([file], {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    types: [],
    lib: ["lib.es2022.d.ts"],
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    paths,
  });
  return ts
    .getPreEmitDiagnostics(program)
    .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, "\n"));
}
