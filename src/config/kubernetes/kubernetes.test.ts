import { expect, test } from "bun:test";
import { importTable } from "../configtest/import-table.ts";
import { configErrorOf } from "../configtest/load-text.ts";
import type { ImportedConfig } from "../foreign/imported-config.ts";

const GHCR = '{ name: REGISTRY_PROXY_REMOTEURL, value: "https://ghcr.io" }';

/** A Pod with one container of registry:2, which is a proxy of ghcr.io. */
const pod = (container: string, spec = "", env = GHCR): string =>
  `apiVersion: v1
kind: Pod
metadata: { name: p, labels: { app: p } }
spec:
  ${spec}
  containers:
    - image: registry:2
      env: [${env}]
      ${container}
`;
const service = (spec: string): string =>
  `---
apiVersion: v1
kind: Service
metadata: { name: s, namespace: caches }
spec: { selector: { app: p }, ${spec} }
`;

const portOf = ({ value }: ImportedConfig): unknown =>
  Reflect.get(Object(value["upstreams"]), "ghcr.io");
const reasonsOf = ({ warnings }: ImportedConfig): string[] =>
  warnings.map(({ from, message }) => `${from.what}: ${message}`);

test.each<[manifest: string, upstream: unknown, reasons: string[]]>([
  [pod("ports: [{ containerPort: 5000, hostPort: 5010 }]"), { listen: "0.0.0.0:5010" }, []],
  [pod("", "hostNetwork: true"), { listen: "0.0.0.0:5000" }, []],
  [
    pod("ports: [{ containerPort: 5000, name: web }]") +
      service("type: NodePort, ports: [{ port: 80, targetPort: web, nodePort: 30001 }]"),
    { listen: "0.0.0.0:30001" },
    [],
  ],
  [
    pod("") + service("type: LoadBalancer, ports: [{ port: 5010, targetPort: 5000 }]"),
    { listen: "0.0.0.0:5010" },
    [
      "spec.type: nodes reach it at the address of this load balancer, port 5010: give that address to the machine of the cache, or point the nodes at it",
    ],
  ],
  [
    pod("") + service("externalIPs: [10.0.0.5], ports: [{ port: 5000 }]"),
    { listen: "0.0.0.0:5000" },
    [
      "spec.type: nodes reach it at 10.0.0.5, port 5000: give that address to the machine of the cache, or point the nodes at it",
    ],
  ],
])(
  "nodes keep the port at which a Service or the pod is reached (%#)",
  (manifest, upstream, reasons) => {
    const imported = importTable({ "/in/a.yaml": manifest });
    expect(portOf(imported)).toMatchObject(Object(upstream));
    expect(reasonsOf(imported)).toEqual(reasons);
  },
);

test("what only the cluster reaches is said to have moved", () => {
  const imported = importTable({ "/in/a.yaml": pod("") + service("ports: [{ port: 5000 }]") });
  expect(reasonsOf(imported)).toContain(
    "spec.type: only the cluster reaches it, at s.caches:5000: point the nodes at the address of the cache",
  );
});

const secretRef =
  "{ name: REGISTRY_PROXY_PASSWORD, valueFrom: { secretKeyRef: { name: s, key: k } } }";
const mapRef = "{ name: REGISTRY_PROXY_TTL, valueFrom: { configMapKeyRef: { name: m, key: k } } }";
const secret = "---\nkind: Secret\nmetadata: { name: s }\nstringData: { other: x }\n";

test.each([
  [
    pod("", "", `${GHCR}, ${secretRef}`),
    "refers to the Secret s, but no directory of Secrets was given",
  ],
  [
    pod("", "", `${GHCR}, ${secretRef}`) + secret,
    "/in/a.yaml:8:75: REGISTRY_PROXY_PASSWORD: refers to the key k, which does not exist there",
  ],
  [
    pod("", "", `${GHCR}, ${mapRef}`),
    "refers to the ConfigMap m: import the file that has it, too",
  ],
  [
    pod(
      "",
      "",
      "{ name: REGISTRY_PROXY_REMOTEURL, valueFrom: { fieldRef: { fieldPath: status.hostIP } } }",
    ),
    "takes its value from a variable: write the value out (fieldRef of the pod is not known)",
  ],
  [
    pod(
      "volumeMounts: [{ name: c, mountPath: /etc/docker/registry }]",
      "volumes: [{ name: c, configMap: { name: missing } }]",
    ),
    "its configuration is at the ConfigMap missing, a path that is not known",
  ],
  [pod("ports: web"), "/in/a.yaml:9:14: spec.containers[0].ports: is not valid in a Pod:"],
  [
    "kind: ConfigMap\nmetadata: { name: a }\n",
    "no container has the image registry:2 or registry:3",
  ],
  [
    "kind: List\nitems: [{ kind: Gadget }]\n",
    '/in/a.yaml:2:17: kind: "Gadget" is not supported: use Pod',
  ],
])("what is missing or invalid is an error with its line (%#)", (manifest, message) => {
  expect(configErrorOf(() => importTable({ "/in/a.yaml": manifest }))).toContain(message);
});

test.each([
  "config.yml: |\n    proxy:\n      remoteurl: https://quay.io",
  'any: \'{ "proxy": { "remoteurl": "https://quay.io" } }\'',
])("a ConfigMap of a registry that nothing mounts is an error: %j", (data) => {
  const map = `kind: ConfigMap\nmetadata: { name: m }\ndata:\n  ${data}\n`;
  const message = `data: the ConfigMap "m" has the configuration of a registry, and no container here mounts it: import the manifest of that container as well, or leave it out`;
  expect(configErrorOf(() => importTable({ "/in/a.yml": map }))).toBe(`/in/a.yml:4:3: ${message}`);
  const both = {
    "/in/a.yml": pod("ports: [{ containerPort: 5000, hostPort: 5010 }]"),
    "/in/b.yml": map,
  };
  expect(configErrorOf(() => importTable(both))).toContain("/in/b.yml:4");
  const comment = map.replace("remoteurl:", "# remoteurl:").replace('"remoteurl"', '"r"');
  expect(() => importTable({ ...both, "/in/b.yml": comment })).not.toThrow();
});

test("a mistake in the config.yml of a ConfigMap has its line in the manifest", () => {
  const map = `kind: ConfigMap
metadata: { name: c }
data:
  config.yml: |
    version: 0.1
    proxy:
      remoteurl: https://ghcr.io
     ttl: 1h
---
`;
  const mounted = pod(
    "volumeMounts: [{ name: c, mountPath: /etc/docker/registry }]",
    "volumes: [{ name: c, configMap: { name: c } }]",
  );
  expect(configErrorOf(() => importTable({ "/in/a.yaml": map + mounted }))).toBe(
    "/in/a.yaml:8:15: c.config.yml: the indentation is wrong: the entries of a mapping or list must start in the same column",
  );
});

test("an optional reference may be missing, and variables refer to those before them", () => {
  const optional = mapRef.replace("key: k", "key: k, optional: true");
  const env = `{ name: HOST, value: ghcr.io }, { name: REGISTRY_PROXY_REMOTEURL, value: "https://$(HOST)" }, ${optional}, { name: REGISTRY_PROXY_USERNAME, value: "$$(HOST)$(NONE)" }, { name: REGISTRY_PROXY_PASSWORD, value: "$(id)\`id\`\\n'" }`;
  const { value } = importTable({ "/in/a.yaml": pod("", "", env) });
  // The registry reads the value as YAML, in which a line break is a space.
  const auth = { username: "$(HOST)$(NONE)", password: "$(id)`id` '" };
  expect(value["upstreams"]).toMatchObject({ "ghcr.io": { auth } });
});

test("a Secret may be in another file, or in the folder of Secrets", () => {
  const env = `${GHCR}, { name: REGISTRY_PROXY_USERNAME, value: u }, ${secretRef}`;
  const files = { "/in/a.yaml": pod("", "", env) };
  const auth = { username: "u", password: "p" };
  const other = { ...files, "/in/b.yaml": secret.replace("other: x", "k: p") };
  expect(importTable(other).value["upstreams"]).toMatchObject({ "ghcr.io": { auth } });
  const mounted = { ...files, "/s/s/k": "p\n" };
  expect(importTable(mounted, ["/in/a.yaml"], "/s").value["upstreams"]).toMatchObject({
    "ghcr.io": { auth },
  });
});
