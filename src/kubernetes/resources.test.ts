import { afterAll, beforeAll, expect, test } from "bun:test";
import { z } from "zod";
import { podSpec, templateOf } from "../../test/harness/kubernetes-api/api-writer.ts";
import { untilLines } from "../../test/harness/kubernetes-api/cluster-conformance.ts";
import { KubernetesApi } from "../../test/harness/kubernetes-api/kubernetes-api.ts";
import { until } from "../../test/harness/waiting.ts";
import { YamlSource } from "../config/parsing/yaml-source.ts";
import { isObject } from "../oci/json-object.ts";
import { RESOURCES } from "./resources.ts";
import { WatchedCluster } from "./watched-cluster.ts";

let api: KubernetesApi;
beforeAll(async () => {
  api = await KubernetesApi.start();
});
afterAll(async () => {
  await api[Symbol.asyncDispose]();
});

function open(namespace: string): WatchedCluster {
  const credentials = { kind: "token", token: api.token } as const;
  const access = { server: api.url, ca: api.ca, isInsecure: false, credentials };
  const quick = { firstPause: 5, longestPause: 20, settle: 5 };
  return new WatchedCluster({ access, namespaces: [namespace] }, quick);
}

test("platforms are those of the nodes that something runs on, or can run on", async () => {
  const ns = "platforms";
  const node = (name: string, architecture: string): void => {
    const status = { nodeInfo: { operatingSystem: "linux", architecture } };
    api.store.put("nodes", { metadata: { name }, status });
  };
  node("n1", "amd64");
  node("n2", "arm64");
  const metadata = { name: "a", namespace: ns };
  const status = { hostIP: "10.0.0.2", hostIPs: [{ ip: "10.0.0.2" }, { ip: "fd00::2" }] };
  api.store.put("pods", { metadata, spec: { ...podSpec("a"), nodeName: "n2" }, status });
  const selector = { nodeSelector: { "kubernetes.io/arch": "amd64" }, ...podSpec("b") };
  const template = { spec: { template: { spec: selector } } };
  api.store.put("daemonsets", { metadata: { name: "b", namespace: ns }, ...template });
  api.store.put("deployments", { metadata: { name: "c", namespace: ns }, spec: templateOf("c") });
  using cluster = open(ns);
  const platforms = async (): Promise<Record<string, string>> => {
    const found: Record<string, string> = {};
    for await (const image of cluster.images(AbortSignal.timeout(5000))) {
      const { by, platforms: all = [], hosts = [] } = image;
      found[by] = [...all, ...hosts].join(" ");
    }
    return found;
  };
  await until(async () => (await platforms())["Pod platforms/a"]?.startsWith("linux/arm64"), {
    what: "the platform of a node",
  });
  expect(await platforms()).toEqual({
    "Pod platforms/a": "linux/arm64 10.0.0.2 fd00::2",
    "DaemonSet platforms/b": "linux/amd64",
    "Deployment platforms/c": "linux/amd64 linux/arm64",
  });
});

test("what has ended, what others say, and names of no registry are left out", async () => {
  const ns = "left-out";
  const owner = { ownerReferences: [{ kind: "Deployment", name: "x", controller: true }] };
  const metadata = (name: string): { name: string; namespace: string } => ({ name, namespace: ns });
  const pod = (name: string, phase: string): void => {
    api.store.put("pods", { metadata: metadata(name), spec: podSpec("old"), status: { phase } });
  };
  pod("done", "Succeeded");
  pod("failed", "Failed");
  api.store.put("replicasets", { metadata: { ...metadata("r"), ...owner }, spec: templateOf("r") });
  api.store.put("jobs", { metadata: { ...metadata("j"), ...owner }, spec: templateOf("j") });
  const conditions = [{ type: "Complete", status: "True" }];
  api.store.put("jobs", { metadata: metadata("k"), spec: templateOf("k"), status: { conditions } });
  api.store.put("pods", {
    metadata: metadata("odd"),
    spec: {
      containers: [{ image: "a b" }, { image: 1 }, null, { image: "nginx:a:b" }, { image: "" }],
      volumes: [{ name: "v", image: { reference: "models:1" } }, { name: "w" }],
    },
    status: { containerStatuses: [{ imageID: `sha256:${"b".repeat(64)}` }, "odd"] },
  });
  using cluster = open(ns);
  await untilLines(cluster, [`Pod ${ns}/odd docker.io/library/models:1`]);
});

test("deploy/kubernetes/rbac.yaml grants what is read, and nothing else", async () => {
  const text = await Bun.file(`${import.meta.dir}/../../deploy/kubernetes/rbac.yaml`).text();
  const role = YamlSource.all("rbac.yaml", text)
    .map(({ value }) => value)
    .find((value) => isObject(value) && value["kind"] === "ClusterRole");
  const granted = z
    .object({
      rules: z.array(
        z.object({
          apiGroups: z.array(z.string()),
          resources: z.array(z.string()),
          verbs: z.tuple([z.literal("list"), z.literal("watch")]),
        }),
      ),
    })
    .parse(role)
    .rules.flatMap(({ apiGroups, resources }) =>
      resources.map((name) => `${apiGroups[0]}/${name}`),
    );
  const read = RESOURCES.map(
    ({ group, plural }) => `${/^\/apis\/(\w+)/.exec(group)?.[1] ?? ""}/${plural}`,
  );
  expect(granted.toSorted()).toEqual([...read, "/nodes"].toSorted());
});
