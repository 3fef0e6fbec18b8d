/** The fields of Gardener's manifests, and the settings that they are imported as. */
import { expect, test } from "bun:test";
import { rootCertificates } from "node:tls";
import { filesOf, configErrorOf } from "../configtest/load-text.ts";
import { importFiles } from "../import-files.ts";
import { unsupportedLines, writeConfig } from "../foreign/write-config.ts";
import { loadSettings } from "../load.ts";
import type { Settings } from "../settings.ts";

const [PEM = ""] = rootCertificates;

function importText(text: string) {
  const readFile = filesOf({ f: text });
  const secrets = { folder: undefined, readFile };
  return importFiles({ files: ["f"], readFile, secrets, names: new Map() });
}

const secretNamed = (name: string, data: object, rest: object = { immutable: true }): string =>
  `---\n${JSON.stringify({ apiVersion: "v1", kind: "Secret", metadata: { name }, ...rest, ...data })}\n`;
const VALID_SECRET = secretNamed("s", { stringData: { username: "me", password: "pw" } });

const registries = (caches: string, version: string): string =>
  `apiVersion: registry.extensions.gardener.cloud/${version}\nkind: RegistryConfig\ncaches: [${caches}]\n`;
const cache = (fields: string): string => registries(`{ upstream: a.io${fields} }`, "v1alpha3");
const mirror = (host: string): string =>
  `apiVersion: mirror.extensions.gardener.cloud/v1alpha1\nkind: MirrorConfig\nmirrors: [{ upstream: a.io, hosts: [${host}] }]\n`;
const node = (registry: string): string =>
  `apiVersion: extensions.gardener.cloud/v1alpha1\nkind: OperatingSystemConfig\nspec: { criConfig: { name: containerd, containerd: { registries: [${registry}] } } }\n`;
const shoot = (spec: string): string =>
  `apiVersion: core.gardener.cloud/v1beta1\nkind: Shoot\nspec: { ${spec} }\n`;
const inline = (text: string): string => `{ ${text.trimEnd().replaceAll("\n", ", ")} }`;

const defaults = { maxSize: "10Gi", maxAge: "168h" };

const fields: [field: string, text: string, upstream: object][] = [
  ["upstream", cache(""), defaults],
  ["remoteURL", cache(", remoteURL: https://b.io/"), { ...defaults, url: "https://b.io" }],
  [
    "remoteURL in a private network",
    cache(", remoteURL: 'http://10.0.0.5:5000'"),
    { ...defaults, url: "http://10.0.0.5:5000", allowPrivate: true },
  ],
  ["volume.size", cache(", volume: { size: 100Gi }"), { ...defaults, maxSize: "100Gi" }],
  ["volume.size in bytes", cache(", volume: { size: 1e9 }"), { ...defaults, maxSize: 1e9 }],
  [
    "size of v1alpha1",
    registries("{ upstream: a.io, size: 5G }", "v1alpha1"),
    { ...defaults, maxSize: "5GB" },
  ],
  ["an empty volume", cache(", volume: {}"), defaults],
  [
    "garbageCollection.ttl",
    cache(", garbageCollection: { ttl: 90s }"),
    { ...defaults, maxAge: "90s" },
  ],
  [
    "garbageCollection.ttl of 0",
    cache(", garbageCollection: { ttl: 0s }"),
    { ...defaults, maxAge: 0 },
  ],
  ["an empty garbageCollection", cache(", garbageCollection: {}"), { ...defaults, maxAge: 0 }],
  ["a garbageCollection of null", cache(", garbageCollection: null"), defaults],
  [
    "garbageCollection.enabled, true",
    registries("{ upstream: a.io, garbageCollection: { enabled: true } }", "v1alpha2"),
    defaults,
  ],
  [
    "garbageCollection.enabled, false",
    registries("{ upstream: a.io, garbageCollection: { enabled: false } }", "v1alpha1"),
    { ...defaults, maxAge: 0 },
  ],
  [
    "secretReferenceName, stringData",
    cache(", secretReferenceName: s") + VALID_SECRET,
    { ...defaults, auth: { username: "me", password: "pw" } },
  ],
  [
    "secretReferenceName, data",
    cache(", secretReferenceName: s") +
      secretNamed("s", { data: { username: "X2pzb25fa2V5", password: "e30=" } }),
    { ...defaults, auth: { username: "_json_key", password: "{}" } },
  ],
  [
    "resources[].resourceRef.name, with the Secret before the Shoot",
    VALID_SECRET.replace("---\n", "") +
      "---\n" +
      shoot(
        `extensions: [{ type: registry-cache, providerConfig: ${inline(cache(", secretReferenceName: r"))} }], resources: [{ name: r, resourceRef: { apiVersion: v1, kind: Secret, name: s } }]`,
      ),
    { ...defaults, auth: { username: "me", password: "pw" } },
  ],
  [
    "proxy.httpsProxy",
    cache(", proxy: { httpsProxy: 'http://p:3128' }"),
    { ...defaults, proxy: "http://p:3128" },
  ],
  [
    "proxy.httpProxy",
    cache(", remoteURL: http://b.io, proxy: { httpProxy: 'http://p:3128' }"),
    { ...defaults, url: "http://b.io", proxy: "http://p:3128" },
  ],
  [
    "mirrors[].hosts[].host",
    mirror("{ host: https://m.io, capabilities: [pull, resolve] }"),
    { mirrors: ["https://m.io"] },
  ],
  [
    "capabilities, absent",
    mirror("{ host: https://m.io }"),
    { mirrors: [{ url: "https://m.io", resolve: false }] },
  ],
  [
    "a host with a path",
    mirror("{ host: https://m.io/hub, capabilities: [pull, resolve] }"),
    { mirrors: ["https://m.io/hub"] },
  ],
  [
    "overridePath",
    mirror("{ host: https://m.io/v2/hub, capabilities: [pull, resolve], overridePath: true }"),
    { mirrors: [{ url: "https://m.io/v2/hub", overridePath: true }] },
  ],
  [
    "overridePath with the path /v2",
    mirror("{ host: https://m.io/v2, capabilities: [pull, resolve], overridePath: true }"),
    { mirrors: ["https://m.io"] },
  ],
  [
    "caBundleSecretReferenceName",
    mirror(
      "{ host: https://m.io, capabilities: [pull, resolve], caBundleSecretReferenceName: ca }, { host: 'http://10.0.0.5', capabilities: [resolve, pull] }",
    ) + secretNamed("ca", { stringData: { "bundle.crt": PEM } }),
    {
      mirrors: [
        { url: "https://m.io", ca: PEM },
        { url: "http://10.0.0.5", allowPrivate: true },
      ],
    },
  ],
  ["a node's server", node("{ upstream: a.io, server: https://b.io }"), { url: "https://b.io" }],
  [
    "a node's host",
    node("{ upstream: a.io, hosts: [{ url: https://m.io }] }"),
    { mirrors: ["https://m.io"] },
  ],
  [
    "a node's host with the capability pull, a path and overridePath",
    node(
      "{ upstream: a.io, hosts: [{ url: https://m.io/x, capabilities: [pull], overridePath: true }] }",
    ),
    { mirrors: [{ url: "https://m.io/x", overridePath: true, resolve: false }] },
  ],
];

/** The upstreams as JSON, without their positions in the file. */
function comparable({ upstreams }: Settings): string {
  return JSON.stringify([...upstreams.values()], (key, value: unknown) =>
    key === "from" ? undefined : value,
  );
}

test.each(fields)("%s is imported into a valid configuration", (_, text, upstream) => {
  const imported = importText(text);
  expect(imported.value["upstreams"]).toEqual({ "a.io": upstream });
  const written = writeConfig(imported, "entrepot import f");
  const fromImport = loadSettings({ flags: { config: "f" }, readFile: filesOf({ f: written }) });
  const fromManifest = loadSettings({ flags: { config: "f" }, readFile: filesOf({ f: text }) });
  expect(comparable(fromImport)).toBe(comparable(fromManifest));
  expect(imported.unsupported).toEqual(
    text.includes("RegistryConfig")
      ? [expect.objectContaining({ reason: expect.stringContaining("http://") })]
      : [],
  );
});

const unsupported: [text: string, line: string][] = [
  [cache(", http: { tls: true }"), "f:3 caches[0].http.tls: nodes reach this cache over http://"],
  [
    cache(", volume: { storageClassName: fast }, http: {}"),
    "f:3 caches[0].volume.storageClassName: blobs are stored in a directory",
  ],
  [
    cache(", highAvailability: { enabled: true }, http: {}"),
    "f:3 caches[0].highAvailability.enabled: the cache is a single process",
  ],
  [
    cache(", serviceNameSuffix: x, http: {}"),
    "f:3 caches[0].serviceNameSuffix: all upstreams share one Service",
  ],
  [
    cache(", proxy: { httpProxy: 'http://p' }, http: {}"),
    "f:3 caches[0].proxy.httpProxy: not needed: requests to the registry use https",
  ],
  [
    node("{ upstream: a.io, readinessProbe: true }"),
    "readinessProbe: not needed: a mirror that does not respond is skipped automatically",
  ],
  [
    node("{ upstream: _default }, { upstream: a.io }"),
    "registries[0].upstream: a default registry is not supported",
  ],
  [node("{ upstream: a.io, hosts: [{ url: 'https://10.4.1.2:5000' }] }"), "is inside the cluster"],
  [
    shoot(
      `extensions: [{ type: registry-mirror, disabled: true }, { type: registry-cache, providerConfig: ${inline(cache(", http: {}"))} }]`,
    ),
    "f:3 spec.extensions[0].disabled: the extension registry-mirror is disabled",
  ],
];

test.each(unsupported)(
  "a setting without an equivalent is listed as unsupported (%#)",
  (text, line) => {
    const lines = unsupportedLines(importText(text));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain(line);
  },
);

test.each([
  ", http: { tls: false }",
  ", http: {}, highAvailability: {}",
  ", http: {}, highAvailability: { enabled: false }",
])("a disabled feature is not listed as unsupported: %s", (rest) => {
  expect(importText(cache(rest)).unsupported).toEqual([]);
});

const invalidSecrets: [text: string, message: string][] = [
  [secretNamed("s", { data: { username: "me", password: "pw!" } }), "f:5:"],
  [
    secretNamed("s", { data: { username: "bWU=", password: "pw!" } }),
    "is not valid Base64: encode it, or write it as plain text under stringData",
  ],
  [
    secretNamed("s", { stringData: { username: "me", password: "pw" } }, {}),
    "must have immutable: true",
  ],
  [
    secretNamed("s", { stringData: { username: "me" } }),
    "has username: it must have exactly the keys username and password",
  ],
  [
    secretNamed("s", { stringData: { username: "me", password: "" } }),
    "has an empty username or password",
  ],
  [
    secretNamed("s", { stringData: { username: "_json_key", password: "pw" } }),
    "its password is not the JSON of a service account",
  ],
  [secretNamed("s", {}), "has no keys"],
  [VALID_SECRET + VALID_SECRET, "the Secret s is already in this file"],
  [
    secretNamed("other", { stringData: { username: "me", password: "pw" } }),
    "add the Secret to this file as a separate document",
  ],
  ["---\nkind: Secret\n", "metadata"],
  [
    "---\nkind: Namespace\n",
    "f:5:1: a second document begins here: a file may have only one manifest and its Secrets",
  ],
];

test.each(invalidSecrets)("an invalid or missing Secret is rejected (%#)", (more, message) => {
  const text = cache(", secretReferenceName: s") + more;
  expect(configErrorOf(() => importText(text))).toContain(message);
  const config = { flags: { config: "f" }, readFile: filesOf({ f: text }) };
  expect(configErrorOf(() => loadSettings(config))).toContain(
    message.includes("separate document") ? "refers to the Secret s, which is not in" : message,
  );
});
