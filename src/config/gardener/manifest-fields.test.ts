/** Each field of Gardener's own, and what becomes of it. */
import { expect, test } from "bun:test";
import { rootCertificates } from "node:tls";
import { filesOf, refusal } from "../configtest/load-text.ts";
import { importFiles } from "../import-files.ts";
import { leftOverLines, writeConfig } from "../foreign/write-config.ts";
import { loadSettings } from "../load.ts";
import type { Settings } from "../settings.ts";

const [PEM = ""] = rootCertificates;

function imported(text: string) {
  const readFile = filesOf({ f: text });
  const secrets = { folder: undefined, readFile };
  return importFiles({ files: ["f"], readFile, secrets, names: new Map() });
}

const secretNamed = (name: string, data: object, rest: object = { immutable: true }): string =>
  `---\n${JSON.stringify({ apiVersion: "v1", kind: "Secret", metadata: { name }, ...rest, ...data })}\n`;
const HUB = secretNamed("s", { stringData: { username: "me", password: "pw" } });

const registries = (caches: string, version: string): string =>
  `apiVersion: registry.extensions.gardener.cloud/${version}\nkind: RegistryConfig\ncaches: [${caches}]\n`;
const cache = (fields: string): string => registries(`{ upstream: a.io${fields} }`, "v1alpha3");
const mirror = (host: string): string =>
  `apiVersion: mirror.extensions.gardener.cloud/v1alpha1\nkind: MirrorConfig\nmirrors: [{ upstream: a.io, hosts: [${host}] }]\n`;
const node = (registry: string): string =>
  `apiVersion: extensions.gardener.cloud/v1alpha1\nkind: OperatingSystemConfig\nspec: { criConfig: { name: containerd, containerd: { registries: [${registry}] } } }\n`;
const shoot = (spec: string): string =>
  `apiVersion: core.gardener.cloud/v1beta1\nkind: Shoot\nspec: { ${spec} }\n`;
const provided = (text: string): string => `{ ${text.trimEnd().replaceAll("\n", ", ")} }`;

const kept = { maxSize: "10Gi", maxAge: "168h" };

const fields: [field: string, text: string, upstream: object][] = [
  ["upstream", cache(""), kept],
  ["remoteURL", cache(", remoteURL: https://b.io/"), { ...kept, url: "https://b.io" }],
  [
    "remoteURL within the own network",
    cache(", remoteURL: 'http://10.0.0.5:5000'"),
    { ...kept, url: "http://10.0.0.5:5000", allowPrivate: true },
  ],
  ["volume.size", cache(", volume: { size: 100Gi }"), { ...kept, maxSize: "100Gi" }],
  ["volume.size in bytes", cache(", volume: { size: 1e9 }"), { ...kept, maxSize: 1e9 }],
  [
    "size of v1alpha1",
    registries("{ upstream: a.io, size: 5G }", "v1alpha1"),
    { ...kept, maxSize: "5GB" },
  ],
  ["an empty volume", cache(", volume: {}"), kept],
  ["garbageCollection.ttl", cache(", garbageCollection: { ttl: 90s }"), { ...kept, maxAge: "90s" }],
  ["garbageCollection.ttl of 0", cache(", garbageCollection: { ttl: 0s }"), { ...kept, maxAge: 0 }],
  ["an empty garbageCollection", cache(", garbageCollection: {}"), { ...kept, maxAge: 0 }],
  ["a garbageCollection of null", cache(", garbageCollection: null"), kept],
  [
    "garbageCollection.enabled, true",
    registries("{ upstream: a.io, garbageCollection: { enabled: true } }", "v1alpha2"),
    kept,
  ],
  [
    "garbageCollection.enabled, false",
    registries("{ upstream: a.io, garbageCollection: { enabled: false } }", "v1alpha1"),
    { ...kept, maxAge: 0 },
  ],
  [
    "secretReferenceName, stringData",
    cache(", secretReferenceName: s") + HUB,
    { ...kept, auth: { username: "me", password: "pw" } },
  ],
  [
    "secretReferenceName, data",
    cache(", secretReferenceName: s") +
      secretNamed("s", { data: { username: "X2pzb25fa2V5", password: "e30=" } }),
    { ...kept, auth: { username: "_json_key", password: "{}" } },
  ],
  [
    "resources[].resourceRef.name, with the Secret before the Shoot",
    HUB.replace("---\n", "") +
      "---\n" +
      shoot(
        `extensions: [{ type: registry-cache, providerConfig: ${provided(cache(", secretReferenceName: r"))} }], resources: [{ name: r, resourceRef: { apiVersion: v1, kind: Secret, name: s } }]`,
      ),
    { ...kept, auth: { username: "me", password: "pw" } },
  ],
  [
    "proxy.httpsProxy",
    cache(", proxy: { httpsProxy: 'http://p:3128' }"),
    { ...kept, proxy: "http://p:3128" },
  ],
  [
    "proxy.httpProxy",
    cache(", remoteURL: http://b.io, proxy: { httpProxy: 'http://p:3128' }"),
    { ...kept, url: "http://b.io", proxy: "http://p:3128" },
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
    "a path",
    mirror("{ host: https://m.io/hub, capabilities: [pull, resolve] }"),
    { mirrors: ["https://m.io/hub"] },
  ],
  [
    "overridePath",
    mirror("{ host: https://m.io/v2/hub, capabilities: [pull, resolve], overridePath: true }"),
    { mirrors: [{ url: "https://m.io/v2/hub", overridePath: true }] },
  ],
  [
    "overridePath with the usual path",
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
    "a node's host that only pulls, at a path of its own",
    node(
      "{ upstream: a.io, hosts: [{ url: https://m.io/x, capabilities: [pull], overridePath: true }] }",
    ),
    { mirrors: [{ url: "https://m.io/x", overridePath: true, resolve: false }] },
  ],
];

/** With addresses as texts, and without the place in the file. */
function comparable({ upstreams }: Settings): string {
  return JSON.stringify([...upstreams.values()], (key, value: unknown) =>
    key === "from" ? undefined : value,
  );
}

test.each(fields)("%s is carried over, into what starts", (_, text, upstream) => {
  const draft = imported(text);
  expect(draft.value["upstreams"]).toEqual({ "a.io": upstream });
  const written = writeConfig(draft, "entrepot import f");
  const fromImport = loadSettings({ flags: { config: "f" }, readFile: filesOf({ f: written }) });
  const asItIs = loadSettings({ flags: { config: "f" }, readFile: filesOf({ f: text }) });
  expect(comparable(fromImport)).toBe(comparable(asItIs));
  expect(draft.left).toEqual(
    text.includes("RegistryConfig")
      ? [expect.objectContaining({ why: expect.stringContaining("http://") })]
      : [],
  );
});

const left: [text: string, line: string][] = [
  [cache(", http: { tls: true }"), "f:3 caches[0].http.tls: nodes reach this cache over http://"],
  [
    cache(", volume: { storageClassName: fast }, http: {}"),
    "f:3 caches[0].volume.storageClassName: content is kept in a folder",
  ],
  [
    cache(", highAvailability: { enabled: true }, http: {}"),
    "f:3 caches[0].highAvailability.enabled: this is one process",
  ],
  [
    cache(", serviceNameSuffix: x, http: {}"),
    "f:3 caches[0].serviceNameSuffix: there is one Service",
  ],
  [
    cache(", proxy: { httpProxy: 'http://p' }, http: {}"),
    "f:3 caches[0].proxy.httpProxy: the registry is asked over https",
  ],
  [
    node("{ upstream: a.io, readinessProbe: true }"),
    "readinessProbe: a mirror that does not answer is passed over by itself",
  ],
  [
    node("{ upstream: _default }, { upstream: a.io }"),
    "registries[0].upstream: there is no default registry here",
  ],
  [
    node("{ upstream: a.io, hosts: [{ url: 'https://10.4.1.2:5000' }] }"),
    "is inside of the cluster",
  ],
  [
    shoot(
      `extensions: [{ type: registry-mirror, disabled: true }, { type: registry-cache, providerConfig: ${provided(cache(", http: {}"))} }]`,
    ),
    "f:3 spec.extensions[0].disabled: registry-mirror is disabled: it was skipped",
  ],
];

test.each(left)("what has no equal is named (%#)", (text, line) => {
  const lines = leftOverLines(imported(text));
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain(line);
});

test.each([
  ", http: { tls: false }",
  ", http: {}, highAvailability: {}",
  ", http: {}, highAvailability: { enabled: false }",
])("what is off leaves nothing over: %s", (rest) => {
  expect(imported(cache(rest)).left).toEqual([]);
});

const wrongSecrets: [text: string, message: string][] = [
  [secretNamed("s", { data: { username: "me", password: "pw!" } }), "f:5:"],
  [
    secretNamed("s", { data: { username: "bWU=", password: "pw!" } }),
    "is no base64: write it so, or as it is under stringData",
  ],
  [
    secretNamed("s", { stringData: { username: "me", password: "pw" } }, {}),
    "has to have immutable: true",
  ],
  [
    secretNamed("s", { stringData: { username: "me" } }),
    "has username: it has to have username and password, and nothing else",
  ],
  [
    secretNamed("s", { stringData: { username: "me", password: "" } }),
    "has an empty username or password",
  ],
  [
    secretNamed("s", { stringData: { username: "_json_key", password: "pw" } }),
    "its password is no service account's JSON",
  ],
  [secretNamed("s", {}), "has no keys"],
  [HUB + HUB, "the Secret s is in this file already"],
  [
    secretNamed("other", { stringData: { username: "me", password: "pw" } }),
    "put it into this file as a document of its own",
  ],
  ["---\nkind: Secret\n", "metadata"],
  [
    "---\nkind: Namespace\n",
    "f:5:1: a second document begins here: one file holds one manifest and the Secrets that it names",
  ],
];

test.each(wrongSecrets)("a Secret that cannot be used is refused (%#)", (more, message) => {
  const text = cache(", secretReferenceName: s") + more;
  expect(refusal(() => imported(text))).toContain(message);
  const config = { flags: { config: "f" }, readFile: filesOf({ f: text }) };
  expect(refusal(() => loadSettings(config))).toContain(
    message.includes("of its own") ? "is the Secret s, which is not in" : message,
  );
});
