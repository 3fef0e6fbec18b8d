import { expect, test } from "bun:test";
import path from "node:path";
import { makeCertificate } from "../../test/harness/services/certificates.ts";
import { expectGolden } from "../../test/harness/golden.ts";
import { tempDir } from "../../test/harness/temp-dir.ts";
import { readText, UnreadableError } from "./parsing/read-text.ts";
import { loadSettings } from "./load.ts";
import { configErrorOf } from "./configtest/load-text.ts";
import {
  GOLDEN,
  GOLDEN_IMPORTS,
  type GoldenImport,
  readGolden,
} from "./configtest/golden-imports.ts";
import { importFiles } from "./import-files.ts";
import { writeConfig } from "./foreign/write-config.ts";

const importGoldenFolder = (golden: GoldenImport): string =>
  writeConfig(readGolden(golden), `entrepot import ${golden[1].join(" ")}`).replaceAll("/in/", "");

test.each(GOLDEN_IMPORTS)("%s is imported as the golden entrepot.yaml", (name, files, names) => {
  expectGolden(`import/${name}/entrepot.yaml`, importGoldenFolder([name, files, names]));
});

test.each(GOLDEN_IMPORTS)(
  "the configuration imported from %s is valid",
  async (name, given, names) => {
    await using folder = await tempDir("pair");
    const pair = await makeCertificate(folder);
    const files = new Map([
      ["/in/entrepot.yaml", importGoldenFolder([name, given, names])],
      ["/in/secrets/harbor-ca.v1/bundle.crt", pair.certificate],
      ["/tls/crt", pair.certificate],
      ["/tls/key", pair.key],
    ]);
    const { upstreams } = loadSettings({
      flags: { config: "/in/entrepot.yaml" },
      readFile: (file) => files.get(file) ?? "not-a-real-one\n",
      hasProgram: () => true,
    });
    expect(upstreams.size).toBeGreaterThan(0);
  },
);

test.each(GOLDEN_IMPORTS.filter(([name]) => name.startsWith("gardener") && !name.endsWith("osc")))(
  "%s is a valid configuration without an import",
  (name, files) => {
    const [file = ""] = files;
    const { upstreams } = loadSettings({
      flags: { config: path.join(GOLDEN, name, file) },
    });
    expect(upstreams.size).toBeGreaterThan(0);
  },
);

const shoot = (extensions: string, more = ""): string =>
  `apiVersion: core.gardener.cloud/v1beta1\nkind: Shoot\nspec:\n  extensions:\n${extensions}${more}`;
const extensionOf = (type: string, config: string): string =>
  `  - { type: ${type}, providerConfig: ${config} }\n`;
const registry = (caches: string, version = "v1alpha3"): string =>
  `{ apiVersion: registry.extensions.gardener.cloud/${version}, kind: RegistryConfig, caches: [${caches}] }`;
const mirror = (mirrors: string, version = "v1alpha1"): string =>
  `{ apiVersion: mirror.extensions.gardener.cloud/${version}, kind: MirrorConfig, mirrors: [${mirrors}] }`;
const proxy = (rest: string): string => `version: 0.1\nproxy: { ${rest} }\n`;

/** Invalid input and a part of the message. */
const invalid: [text: string, message: string][] = [
  [
    registry("{ upstream: a.io }", "v1"),
    'f:1:15: apiVersion: "registry.extensions.gardener.cloud/v1" is not supported: use registry.extensions.gardener.cloud/v1alpha1 or registry.extensions.gardener.cloud/v1alpha2 or registry.extensions.gardener.cloud/v1alpha3',
  ],
  [
    mirror("{ upstream: a.io, hosts: [{ host: https://m }] }", "v1alpha3"),
    "f:1:15: apiVersion: MirrorConfig has no version v1alpha3, although Gardener's documentation shows it: use mirror.extensions.gardener.cloud/v1alpha1",
  ],
  [
    "kind: Frobnicator\napiVersion: v1\n",
    'f:1:7: kind: "Frobnicator" is not supported: use Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, HelmRelease, HelmChart, Application or List, or a manifest of Gardener',
  ],
  [
    "kind: Worker\napiVersion: extensions.gardener.cloud/v1alpha1\n",
    'f:1:7: kind: "Worker" is not supported: use Shoot, RegistryConfig, MirrorConfig, Extension or OperatingSystemConfig',
  ],
  ["apiVersion: v1\n", "f:1:1: kind: is missing: use Pod, Deployment"],
  [
    shoot(
      extensionOf("registry-cache", registry("{ upstream: a.io }")) +
        extensionOf("registry-mirror", mirror("{ upstream: a.io, hosts: [{ host: https://m }] }")),
    ),
    "a.io is already configured (f:5): define each upstream once",
  ],
  [registry("{ upstream: _default }"), "_default is containerd's directory"],
  [
    mirror("{ upstream: _default, hosts: [{ host: https://m }] }"),
    "_default is containerd's directory",
  ],
  [
    registry("{ upstream: a.io }, { upstream: a.io }"),
    "a.io is already configured (f:1): define each upstream once",
  ],
  [registry("{ upstream: https://a.io }"), "has a scheme: write only the host"],
  [registry("{ upstream: A.io }"), "is not a valid upstream: write a lower-case host name"],
  [
    registry("{ upstream: a.io, remoteURL: https://a.io/x }"),
    "has a path, which Gardener does not allow here",
  ],
  [
    registry("{ upstream: a.io, volume: { size: 0 } }"),
    "is not a size greater than 0: write one such as 10Gi",
  ],
  [
    registry("{ upstream: a.io, garbageCollection: { ttl: -1h } }"),
    "is not a duration of 0 or more: write one such as 168h",
  ],
  [
    registry("{ upstream: a.io, garbageCollection: { enabled: true } }"),
    "v1alpha3 has no garbageCollection.enabled: use garbageCollection.ttl",
  ],
  [
    registry("{ upstream: a.io, volume: { size: 1Gi } }", "v1alpha1"),
    "v1alpha1 has no volume: use size",
  ],
  [registry("{ upstream: a.io, sise: 1 }"), 'caches[0]: unknown key "sise": did you mean "size"?'],
  [registry(""), "caches: must have at least one cache"],
  [
    registry("{ upstream: a.b, serviceNameSuffix: x }, { upstream: c.d, serviceNameSuffix: x }"),
    "x is already the Service name suffix of a.b",
  ],
  [
    registry("{ upstream: a.b, secretReferenceName: s }"),
    "refers to the Secret s, but no directory of Secrets was given",
  ],
  [
    mirror("{ upstream: a.b, hosts: [{ host: https://m, capabilities: [push] }] }"),
    '"push" is not a capability: use pull and resolve',
  ],
  [
    mirror("{ upstream: a.b, hosts: [{ host: https://m }, { host: https://m }] }"),
    "is a duplicate",
  ],
  [
    mirror("{ upstream: a.b, hosts: [{ host: https://m/v2/../x, overridePath: true }] }"),
    '"https://m/v2/../x" has .. in its path, which Gardener does not allow',
  ],
  [
    mirror("{ upstream: a.b, hosts: [{ host: m }] }"),
    "is not a valid URL: write https://host or http://host",
  ],
  [
    shoot(extensionOf("networking", "{}")),
    "the Shoot has no extension of type registry-cache or registry-mirror",
  ],
  [
    shoot(extensionOf("registry-cache", mirror("{}"))),
    "the extension registry-cache needs a RegistryConfig",
  ],
  [
    shoot(
      extensionOf("registry-cache", registry("{ upstream: a.io }")),
      "  provider: { workers: [{ cri: { name: docker } }] }\n",
    ),
    '"docker" is not supported by Gardener\'s extensions, which only support containerd',
  ],
  [
    shoot(extensionOf("registry-cache", registry("{ upstream: a.io, secretReferenceName: s }"))),
    "s is not in spec.resources",
  ],
  ["kind: Shoot\n\tapiVersion: x\n", "a tab indents this line: YAML allows spaces only"],
  [
    `${registry("{ upstream: a.io }")}\n---\n${registry("{ upstream: b.io }")}\n`,
    "a second document begins here: a file may have only one",
  ],
  [
    "a: &a [x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b]\nkind: [*c, *c, *c, *c]\n",
    "its aliases (*name) expand to too many values",
  ],
  [`kind: "${"x".repeat(10_000_000)}"\n`, "f is larger than 1 MiB"],
  ["hello: world\n", "f:1:1: has an unknown format"],
  ["", "f:1:1: has an unknown format"],
  [proxy("{}"), "a key must be a plain word"],
  [
    "version: 0.1\nhttp: { addr: :5000 }\n",
    "is not a pull-through cache, since it has no proxy.remoteurl",
  ],
  [proxy("remoteurl: ghcr.io"), '"ghcr.io" is not a valid registry URL'],
  [proxy("remoteurl: 'https://u:p@ghcr.io'"), '"https://…@ghcr.io" is not a valid registry URL'],
  [proxy("remoteurl: https://ghcr.io, username: me"), "set both username and password, or neither"],
  [
    proxy("remoteurl: https://ghcr.io, ttl: week"),
    '"week" is not a valid duration: write one such as 168h',
  ],
  ["services: { web: { image: nginx } }\n", "no service has the image registry:2 or registry:3"],
  [
    "services: { hub: { image: 'registry:2', environment: { REGISTRY_PROXY_REMOTEURL: $HUB } } }\n",
    "takes its value from a variable: write the value out",
  ],
  [
    "services: { hub: { image: 'registry:2', volumes: ['./nowhere.yml:/etc/distribution/config.yml'] } }\n",
    "its configuration nowhere.yml does not exist",
  ],
  ["docker run -d nginx\n", "no `run` command line has the image registry:2 or registry:3"],
  [
    "docker run -p 5000:5000 -e REGISTRY_PROXY_REMOTEURL=https://a.io registry:2\ndocker run -p 5000:5000 -e REGISTRY_PROXY_REMOTEURL=https://b.io registry:2\n",
    "port 5000 is already used by a.io",
  ],
];

test.each(invalid)("invalid input is rejected with a message (%#)", (text, message) => {
  const rejection = configErrorOf(() =>
    importFiles({
      files: ["f"],
      readFile: (file, limit) => {
        if (file !== "f") throw new UnreadableError("does not exist");
        if (text.length > limit) throw new UnreadableError("is larger than 1 MiB");
        return text;
      },
      secrets: { folder: undefined, readFile: readText },
      names: new Map(),
    }),
  );
  expect(rejection).toContain(message);
  expect(rejection.length).toBeLessThan(2_000);
});
