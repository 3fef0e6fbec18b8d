import { expect, test } from "bun:test";
import { readText } from "../parsing/read-text.ts";
import type { ImportedConfig } from "../foreign/imported-config.ts";
import { importFiles } from "../import-files.ts";
import { writeConfig } from "../foreign/write-config.ts";
import { loadSettings } from "../load.ts";
import { configErrorOf } from "../configtest/load-text.ts";

function importText(text: string): ImportedConfig {
  return importFiles({
    files: ["f"],
    readFile: () => text,
    secrets: { folder: undefined, readFile: readText },
    names: new Map(),
  });
}

const group = "extensions.gardener.cloud";
const manifests: [name: string, text: string][] = [
  [
    "a mirror",
    `apiVersion: mirror.${group}/v1alpha1\nkind: MirrorConfig\nmirrors: [{ upstream: docker.io, hosts: [{ host: "http://10.0.0.5:5000" }, { host: https://m.test }] }]\n`,
  ],
  [
    "an upstream",
    `apiVersion: registry.${group}/v1alpha3\nkind: RegistryConfig\ncaches: [{ upstream: "10.0.0.5:5000" }]\n`,
  ],
  [
    "a server",
    `apiVersion: ${group}/v1alpha1\nkind: OperatingSystemConfig\nspec: { criConfig: { containerd: { registries: [{ upstream: a.test, server: https://10.0.0.5 }] } } }\n`,
  ],
];
test.each(manifests)(
  "%s in a private network is imported into a valid configuration",
  (_, text) => {
    const written = writeConfig(importText(text), "entrepot import f");
    const { upstreams } = loadSettings({ flags: { config: "f" }, readFile: () => written });
    expect(upstreams.size).toBe(1);
  },
);

test("a Shoot without enabled extensions is rejected", () => {
  const text = `apiVersion: core.gardener.cloud/v1beta1\nkind: Shoot\nspec: { extensions: [{ type: registry-cache, disabled: true }] }\n`;
  const message = "configures no registry to cache";
  expect(configErrorOf(() => importText(text))).toContain(message);
  expect(
    configErrorOf(() => loadSettings({ flags: { config: "f" }, readFile: () => text })),
  ).toContain(message);
});

test("the CA files of a node are listed as unsupported", () => {
  const { unsupported } = importText(
    `apiVersion: ${group}/v1alpha1\nkind: OperatingSystemConfig\nspec: { criConfig: { containerd: { registries: [{ upstream: a.test, hosts: [{ url: https://m.test, caCerts: [/m.pem] }] }] } } }\n`,
  );
  expect(unsupported.map(({ from, reason }) => `${from.what}: ${reason}`)).toEqual([
    "spec.criConfig.containerd.registries[0].hosts[0].caCerts: these files are on the node: combine them in one file, and set it as ca of this mirror",
  ]);
});

test("a Shoot without apiVersion is imported, one with another version is rejected", () => {
  const manifest = `kind: Shoot\nspec: { extensions: [{ type: registry-cache, providerConfig: { apiVersion: registry.${group}/v1alpha3, kind: RegistryConfig, caches: [{ upstream: a.test }] } }] }\n`;
  expect(writeConfig(importText(manifest), "entrepot import f")).toContain("\n  a.test:\n");
  expect(
    configErrorOf(() => importText(`apiVersion: core.gardener.cloud/v1alpha1\n${manifest}`)),
  ).toBe(
    'f:1:13: apiVersion: "core.gardener.cloud/v1alpha1" is not supported: use core.gardener.cloud/v1beta1',
  );
});

test("the message about a missing Secret names the files to create", () => {
  const text = `apiVersion: mirror.${group}/v1alpha1\nkind: MirrorConfig\nmirrors: [{ upstream: a.test, hosts: [{ host: https://m.test, caBundleSecretReferenceName: ca }] }]\n`;
  expect(configErrorOf(() => importText(text))).toContain(
    "or write it to secrets/ca/bundle.crt and add --secrets secrets",
  );
});
