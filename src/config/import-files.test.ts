import { expect, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import path from "node:path";
import { makeCertificate } from "../../test/harness/certificates.ts";
import { expectGolden } from "../../test/harness/golden.ts";
import { tempDir } from "../../test/harness/places.ts";
import { readText, UnreadableError } from "./parsing/read-text.ts";
import { loadSettings } from "./load.ts";
import { refusal } from "./configtest/load-text.ts";
import { importFiles } from "./import-files.ts";
import { writeConfig } from "./foreign/write-config.ts";

const GOLDEN = path.join(import.meta.dir, "../../test/golden");

/** Folder, files in it, and names that are given. */
const cases: [name: string, files: string[], names: [string, string][]][] = [
  ["five-registries", ["hub.yml", "ghcr.yml", "quay.yml", "k8s.yml", "kyverno.yml"], []],
  ["registry-3", ["config.yml"], []],
  ["compose", ["compose.yaml"], []],
  ["run-lines", ["start.sh"], [["mirror.gcr.io", "docker.io"]]],
  ["gardener-shoot", ["shoot.yaml"], []],
  ["gardener-v1alpha1", ["config.yaml"], []],
  ["gardener-v1alpha2", ["config.yaml"], []],
  ["gardener-traps", ["config.yaml"], []],
  ["gardener-mirror", ["config.yaml"], []],
  ["gardener-extension", ["extension.yaml"], []],
  ["gardener-osc", ["osc.yaml"], []],
];

/** As if it were typed in a folder /in that holds the files. */
function imported(name: string, files: string[], names: [string, string][]): string {
  const folder = path.join(GOLDEN, "import", name);
  const secrets = path.join(folder, "secrets");
  const place = (file: string): string => path.join(folder, path.relative("/in", file));
  const draft = importFiles({
    files: files.map((file) => `/in/${file}`),
    readFile: (file, limit) => readText(place(file), limit),
    secrets: {
      folder: existsSync(secrets) ? "/in/secrets" : undefined,
      readFile: (file, limit) => readText(place(file), limit),
      list: (below) => readdirSync(place(below)).sort(),
    },
    names: new Map(names),
  });
  return writeConfig(draft, `entrepot import ${files.join(" ")}`).replaceAll("/in/", "");
}

test.each(cases)("%s becomes the golden entrepot.yaml", (name, files, names) => {
  expectGolden(`import/${name}/entrepot.yaml`, imported(name, files, names));
});

test.each(cases)("what comes of %s is a configuration that starts", async (name, given, names) => {
  await using folder = await tempDir("pair");
  const pair = await makeCertificate(folder);
  const files = new Map([
    ["/in/entrepot.yaml", imported(name, given, names)],
    ["/tls/crt", pair.certificate],
    ["/tls/key", pair.key],
  ]);
  const { upstreams } = loadSettings({
    flags: { config: "/in/entrepot.yaml" },
    readFile: (file) => files.get(file) ?? "not-a-real-one\n",
  });
  expect(upstreams.size).toBeGreaterThan(0);
});

test.each(cases.filter(([name]) => name.startsWith("gardener") && !name.endsWith("osc")))(
  "%s is served as it is",
  (name, files) => {
    const [file = ""] = files;
    const { upstreams } = loadSettings({
      flags: { config: path.join(GOLDEN, "import", name, file) },
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

/** What is refused, and what is said: the whole of it, or its beginning where it is long. */
const refused: [text: string, message: string][] = [
  [
    registry("{ upstream: a.io }", "v1"),
    'f:1:15: apiVersion: "registry.extensions.gardener.cloud/v1" is not known here: write registry.extensions.gardener.cloud/v1alpha1, registry.extensions.gardener.cloud/v1alpha2, registry.extensions.gardener.cloud/v1alpha3',
  ],
  [
    mirror("{ upstream: a.io, hosts: [{ host: https://m }] }", "v1alpha3"),
    "f:1:15: apiVersion: there is no v1alpha3 of MirrorConfig, although a page of Gardener's shows it: write mirror.extensions.gardener.cloud/v1alpha1",
  ],
  [
    "kind: Pod\napiVersion: v1\n",
    'f:1:7: kind: "Pod" is not known here: it may be Shoot, RegistryConfig, MirrorConfig, Extension or OperatingSystemConfig',
  ],
  [
    "apiVersion: v1\n",
    "f:1:1: kind: is missing: it may be Shoot, RegistryConfig, MirrorConfig, Extension or OperatingSystemConfig",
  ],
  [
    shoot(
      extensionOf("registry-cache", registry("{ upstream: a.io }")) +
        extensionOf("registry-mirror", mirror("{ upstream: a.io, hosts: [{ host: https://m }] }")),
    ),
    "a.io is cached already (f:5): one upstream is written once",
  ],
  [registry("{ upstream: _default }"), "_default is a folder of containerd's"],
  [
    mirror("{ upstream: _default, hosts: [{ host: https://m }] }"),
    "_default is a folder of containerd's",
  ],
  [
    registry("{ upstream: a.io }, { upstream: a.io }"),
    "a.io is cached already (f:1): one upstream is written once",
  ],
  [registry("{ upstream: https://a.io }"), "has a scheme: write the host alone"],
  [registry("{ upstream: A.io }"), "is no upstream: a lower-case host name"],
  [
    registry("{ upstream: a.io, remoteURL: https://a.io/x }"),
    "has a path, which Gardener does not allow here",
  ],
  [registry("{ upstream: a.io, volume: { size: 0 } }"), "is no size over 0, such as 10Gi"],
  [
    registry("{ upstream: a.io, garbageCollection: { ttl: -1h } }"),
    "is no duration of 0 or more, such as 168h",
  ],
  [
    registry("{ upstream: a.io, garbageCollection: { enabled: true } }"),
    "v1alpha3 has no garbageCollection.enabled: it is garbageCollection.ttl there",
  ],
  [
    registry("{ upstream: a.io, volume: { size: 1Gi } }", "v1alpha1"),
    "v1alpha1 has no volume: it is size there",
  ],
  [registry("{ upstream: a.io, sise: 1 }"), 'caches[0]: unknown key "sise": did you mean "size"?'],
  [registry(""), "caches: names no cache: at least one is needed"],
  [
    registry("{ upstream: a.b, serviceNameSuffix: x }, { upstream: c.d, serviceNameSuffix: x }"),
    "x names the Service of a.b already",
  ],
  [
    registry("{ upstream: a.b, secretReferenceName: s }"),
    "is the Secret s, and no folder of Secrets was given",
  ],
  [
    mirror("{ upstream: a.b, hosts: [{ host: https://m, capabilities: [push] }] }"),
    '"push" is none: pull and resolve are',
  ],
  [
    mirror("{ upstream: a.b, hosts: [{ host: https://m }, { host: https://m }] }"),
    "is named twice",
  ],
  [
    mirror("{ upstream: a.b, hosts: [{ host: m }] }"),
    "is no address: write https://host or http://host",
  ],
  [
    shoot(extensionOf("networking", "{}")),
    "there is none of type registry-cache or registry-mirror in this Shoot",
  ],
  [
    shoot(extensionOf("registry-cache", mirror("{}"))),
    "the extension registry-cache takes a RegistryConfig",
  ],
  [
    shoot(
      extensionOf("registry-cache", registry("{ upstream: a.io }")),
      "  provider: { workers: [{ cri: { name: docker } }] }\n",
    ),
    '"docker" is not supported by Gardener\'s extensions: containerd alone is',
  ],
  [
    shoot(extensionOf("registry-cache", registry("{ upstream: a.io, secretReferenceName: s }"))),
    "s is not among spec.resources",
  ],
  ["kind: Shoot\n\tapiVersion: x\n", "a tab indents this line: YAML allows spaces only"],
  [
    `${registry("{ upstream: a.io }")}\n---\n${registry("{ upstream: b.io }")}\n`,
    "a second document begins here: one file holds one",
  ],
  [
    "a: &a [x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b]\nkind: [*c, *c, *c, *c]\n",
    "its aliases (*name) expand to too much",
  ],
  [`kind: "${"x".repeat(10_000_000)}"\n`, "f is larger than 1 MiB"],
  ["hello: world\n", "f:1:1: is none of what can be read"],
  ["", "f:1:1: is none of what can be read"],
  [proxy("{}"), "a key has to be a plain word"],
  [
    "version: 0.1\nhttp: { addr: :5000 }\n",
    "is no pull-through cache, since it has no proxy.remoteurl",
  ],
  [proxy("remoteurl: ghcr.io"), '"ghcr.io" is no registry\'s address'],
  [proxy("remoteurl: 'https://u:p@ghcr.io'"), '"https://…@ghcr.io" is no registry\'s address'],
  [
    proxy("remoteurl: https://ghcr.io, username: me"),
    "username and password are given together, or not at all",
  ],
  [proxy("remoteurl: https://ghcr.io, ttl: week"), '"week" is no duration, such as 168h'],
  [
    "services: { web: { image: nginx } }\n",
    "none of them is of the image registry:2 or registry:3",
  ],
  [
    "services: { hub: { image: 'registry:2', environment: { REGISTRY_PROXY_REMOTEURL: $HUB } } }\n",
    "takes its value from a variable: write the value out",
  ],
  [
    "services: { hub: { image: 'registry:2', volumes: ['./nowhere.yml:/etc/distribution/config.yml'] } }\n",
    "its configuration nowhere.yml does not exist",
  ],
  ["docker run -d nginx\n", "none of its `run` lines is of the image registry:2 or registry:3"],
  [
    "docker run -p 5000:5000 -e REGISTRY_PROXY_REMOTEURL=https://a.io registry:2\ndocker run -p 5000:5000 -e REGISTRY_PROXY_REMOTEURL=https://b.io registry:2\n",
    "port 5000 is a.io's already",
  ],
];

test.each(refused)("bad input is refused and named (%#)", (text, message) => {
  const said = refusal(() =>
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
  expect(said).toContain(message);
  expect(said.length).toBeLessThan(2_000);
});
