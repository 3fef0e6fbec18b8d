import { expect, test } from "bun:test";
import { readText } from "../parsing/read-text.ts";
import type { ImportedConfig } from "../foreign/imported-config.ts";
import { importFiles } from "../import-files.ts";
import { writeConfig } from "../foreign/write-config.ts";
import { loadSettings } from "../load.ts";
import { refusal } from "../configtest/load-text.ts";

function imported(text: string): ImportedConfig {
  return importFiles({
    files: ["f"],
    readFile: () => text,
    secrets: { folder: undefined, readFile: readText },
    names: new Map(),
  });
}

const group = "extensions.gardener.cloud";
const GARDENER: [name: string, text: string][] = [
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
test.each(GARDENER)("%s in one's own network makes a configuration that starts", (_, text) => {
  const written = writeConfig(imported(text), "entrepot import f");
  const { upstreams } = loadSettings({ flags: { config: "f" }, readFile: () => written });
  expect(upstreams.size).toBe(1);
});

test("a Shoot whose extension is disabled is not made a cache of the usual five", () => {
  const text = `apiVersion: core.gardener.cloud/v1beta1\nkind: Shoot\nspec: { extensions: [{ type: registry-cache, disabled: true }] }\n`;
  const message = "names no registry that is cached";
  expect(refusal(() => imported(text))).toContain(message);
  expect(refusal(() => loadSettings({ flags: { config: "f" }, readFile: () => text }))).toContain(
    message,
  );
});

test("authorities that a node was told of are named where they are not carried over", () => {
  const { left } = imported(
    `apiVersion: ${group}/v1alpha1\nkind: OperatingSystemConfig\nspec: { criConfig: { containerd: { registries: [{ upstream: a.test, hosts: [{ url: https://m.test, caCerts: [/m.pem] }] }] } } }\n`,
  );
  expect(left.map(({ from, why }) => `${from.what}: ${why}`)).toEqual([
    "spec.criConfig.containerd.registries[0].hosts[0].caCerts: these files are on the node: copy them into one, and name it as this mirror's ca",
  ]);
});

test("a Shoot without apiVersion, as an excerpt shows it, is read; one of another version is not", () => {
  const rest = `kind: Shoot\nspec: { extensions: [{ type: registry-cache, providerConfig: { apiVersion: registry.${group}/v1alpha3, kind: RegistryConfig, caches: [{ upstream: a.test }] } }] }\n`;
  expect(writeConfig(imported(rest), "entrepot import f")).toContain("\n  a.test:\n");
  expect(refusal(() => imported(`apiVersion: core.gardener.cloud/v1alpha1\n${rest}`))).toBe(
    'f:1:13: apiVersion: "core.gardener.cloud/v1alpha1" is not known here: write core.gardener.cloud/v1beta1',
  );
});

test("a missing Secret is asked for with the keys that it needs", () => {
  const text = `apiVersion: mirror.${group}/v1alpha1\nkind: MirrorConfig\nmirrors: [{ upstream: a.test, hosts: [{ host: https://m.test, caBundleSecretReferenceName: ca }] }]\n`;
  expect(refusal(() => imported(text))).toContain(
    "or write it to secrets/ca/bundle.crt and name the folder with --secrets",
  );
});
