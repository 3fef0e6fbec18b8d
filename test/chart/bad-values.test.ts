import { expect } from "bun:test";
import { renderText } from "../harness/pods/helm.ts";
import { realTest } from "../harness/real-components.ts";

const cluster =
  "cluster: { existingSecret: c, database: { existingSecret: d }, store: { url: https://s3.example/b } }";

/** Values that contradict the schema: helm tells all of them at once. */
const AGAINST_THE_SCHEMA = `
persistance: { size: 1Gi }
image: { tga: 1, tag: 1.2, repository: "" }
resources: { limit: { memory: 1Gi }, limits: { memory: 512MB } }
replicaCount: many
persistence: { size: big }
fullnameOverride: My_Cache
commonLabels: { team: "b c" }
service: { type: Nodeport, nodePort: 70000, clusterIP: nonsense, extraPorts: [{ name: much-too-long-name, port: 1 }] }
secretMounts: { a: "" }
nodes: null
cluster: { store: { settings: { regoin: eu } } }
config: { upstream: {}, upstreams: { docker.io: { tagTTL: 5m } } }
`;
const SCHEMA_SAYS = [
  "at '': additional properties 'persistance' not allowed",
  "at '/image': additional properties 'tga' not allowed",
  "at '/image/tag': got number, want string",
  "at '/resources': additional properties 'limit' not allowed",
  "at '/replicaCount': got string, want integer",
  "at '/service/type': value must be one of 'NodePort', 'ClusterIP', 'LoadBalancer'",
  "at '/service/nodePort': maximum: got 70,000, want 65,535",
  "at '/persistence/size': 'big' does not match pattern",
  "at '': missing property 'nodes'",
  "at '/image/repository': '' does not match pattern",
  "at '/resources/limits/memory': '512MB' does not match pattern",
  "at '/fullnameOverride': 'My_Cache' does not match pattern",
  "at '/commonLabels/team': 'b c' does not match pattern",
  "at '/service/clusterIP': 'nonsense' does not match pattern",
  "at '/service/extraPorts/0/name': 'much-too-long-name' does not match pattern",
  "at '/secretMounts/a': minLength: got 0, want 1",
  "at '/cluster/store/settings': additional properties 'regoin' not allowed",
  "at '/config': additional properties 'upstream' not allowed",
  "at '/config/upstreams/docker.io': additional properties 'tagTTL' not allowed",
];

/** Values of which only the templates know that they are wrong. */
const REFUSED: readonly (readonly [values: string, message: string])[] = [
  [
    "podLabels: { app.kubernetes.io/name: other }",
    "podLabels: the label app.kubernetes.io/name is the chart's own",
  ],
  ["podAnnotations: { checksum/config: a }", "podAnnotations: checksum/config is the chart's own"],
  [
    "service: { extraPorts: [{ name: registry, port: 5010 }] }",
    "service.extraPorts: the name registry or the port 5010 is there twice",
  ],
  [
    "service: { extraPorts: [{ name: quay, port: 5010, nodePort: 30020 }] }",
    "service.extraPorts: nodePort 30020 is service.nodePort",
  ],
  [
    "nodes: { cacheUrl: http://entrepot.entrepot.svc:5000 }",
    "nodes.cacheUrl: entrepot.entrepot.svc is a name of a Service",
  ],
  [
    "service: { type: ClusterIP, clusterIP: 10.0.0.1, ipFamilies: [IPv6] }",
    "service.clusterIP 10.0.0.1 is an IPv4 address",
  ],
  ["config: { listen: 6000 }", "config.listen is the chart's own: the port is 5000"],
  [
    "config: { adminTokenFile: /token }",
    "config.adminTokenFile is the chart's own: admin.existingSecret names a Secret",
  ],
  ["config: { storage: { dir: /data } }", "config.storage.dir is the chart's own"],
  [
    "config: { tls: { certificate: a, key: b } }",
    "config.tls: set tls.existingSecret, or certificate.enabled",
  ],
  [
    "config: { upstreams: { docker.io: { port: 5001 } } }",
    "config.upstreams: port 5001 is taken by the chart",
  ],
  [
    "config: { cluster: { secretFile: /s } }",
    "config.cluster: set cluster.database.existingSecret or cluster.store.url as well",
  ],
  [
    "replicaCount: 2",
    "set cluster.database.existingSecret to a Secret with its url, or replicaCount: 1",
  ],
  [
    "{ replicaCount: 2, cluster: { database: { existingSecret: d } } }",
    "set cluster.store.url to a bucket, or replicaCount: 1",
  ],
  [
    `{ replicaCount: 2, ${cluster}, persistence: { existingClaim: data } }`,
    "one claim cannot be the store of 2 replicas",
  ],
  [
    "cluster: { store: { url: https://s3.example/b, existingSecret: s } }",
    'kubectl -n entrepot create secret generic entrepot-cluster --from-literal=secret="$(openssl rand -hex 32)"   Then set cluster.existingSecret=entrepot-cluster',
  ],
  ["admin: { expose: true }", "Then set admin.existingSecret=entrepot-admin"],
  [
    "serviceMonitor: { enabled: true }",
    "this rendering sees no cluster, as with helm template and Argo CD",
  ],
  [
    "service: { nodePort: 80 }",
    "service.nodePort 80 is not in the range of node ports, 30000-32767",
  ],
  [
    "hostPort: { enabled: true }",
    "hostPort.enabled and service.type NodePort are two ways to the cache",
  ],
  [
    "{ hostPort: { enabled: true }, service: { type: ClusterIP } }",
    "set nodes.cacheUrl to an address at which every node reaches one of them",
  ],
  [
    "service: { type: LoadBalancer }",
    "set nodes.cacheUrl, service.loadBalancerIP, or service.type=NodePort",
  ],
  [
    "service: { type: ClusterIP }",
    "set nodes.cacheUrl, a fixed service.clusterIP, or service.type=NodePort",
  ],
  [
    "service: { loadBalancerIP: 10.0.0.1 }",
    "service.loadBalancerIP has no effect with service.type NodePort",
  ],
  [
    "service: { clusterIP: None }",
    "service.clusterIP None is for service.type ClusterIP, and not for NodePort",
  ],
  ["tls: { existingSecret: t }", "no certificate has the addresses of all nodes"],
  [
    "{ tls: { existingSecret: t }, certificate: { enabled: true, issuerRef: { name: i } } }",
    "are two certificates: set one of them",
  ],
  [
    "certificate: { enabled: true }",
    "certificate.issuerRef.name: name the Issuer or ClusterIssuer",
  ],
  [
    "podDisruptionBudget: { minAvailable: 1 }",
    "podDisruptionBudget: minAvailable and maxUnavailable exclude each other",
  ],
  ["secretMounts: { entrepot: a }", "secretMounts.entrepot: this folder is the chart's own"],
];

realTest("unknown values, and those of another type, are refused with their paths", async () => {
  const { code, stderr } = await renderText(AGAINST_THE_SCHEMA);
  expect([code, SCHEMA_SAYS.filter((message) => !stderr.includes(message))]).toEqual([1, []]);
});

realTest("values that cannot work are refused, with where and what to do", async () => {
  const said = await Promise.all(
    REFUSED.map(async ([values, message]) => {
      const { code, stderr } = await renderText(values);
      return [values, code, stderr.includes(message) ? message : stderr];
    }),
  );
  expect(said).toEqual(REFUSED.map(([values, message]) => [values, 1, message]));
});

realTest("a chart that depends on this one may give it global values and a condition", async () => {
  expect((await renderText("{ global: { imageRegistry: a }, enabled: true }")).stderr).toBe("");
});
