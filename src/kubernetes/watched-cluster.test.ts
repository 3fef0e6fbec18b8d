import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { chmod, writeFile } from "node:fs/promises";
import { podSpec } from "../../test/harness/kubernetes-api/api-writer.ts";
import {
  describeCluster,
  linesOf,
  untilLines,
} from "../../test/harness/kubernetes-api/cluster-conformance.ts";
import { KubernetesApi } from "../../test/harness/kubernetes-api/kubernetes-api.ts";
import {
  accessTo,
  openCluster,
  podRequests as podRequestsOf,
  putPod as putPodOf,
  QUICK,
} from "../../test/harness/kubernetes-api/watching.ts";
import { tempDir } from "../../test/harness/temp-dir.ts";
import { failureOf, until } from "../../test/harness/waiting.ts";
import { readKubeconfig } from "../config/kubeconfig/kubeconfig.ts";
import type {
  ClusterAccess,
  ClusterCredentials,
} from "../config/kubernetes-api/kubernetes-settings.ts";
import { readText } from "../config/parsing/read-text.ts";
import { WatchedCluster, type WatchedClusterOptions } from "./watched-cluster.ts";

let api: KubernetesApi;
beforeAll(async () => {
  api = await KubernetesApi.start();
});
afterAll(async () => {
  await api[Symbol.asyncDispose]();
});
afterEach(() => {
  api.forbidden.clear();
});

const accessOf = (credentials?: ClusterCredentials): ClusterAccess => accessTo(api, credentials);
const open = (namespace: string, options: WatchedClusterOptions = {}): WatchedCluster =>
  openCluster(api, namespace, options);
const putPod = (namespace: string, name: string, image: string): void =>
  putPodOf(api, namespace, name, image);
const podRequests = (namespace: string) => podRequestsOf(api, namespace);

describeCluster("the stand-in", accessOf, QUICK);

// A real API server takes the stand-in's place where one is given: its kubeconfig, with a token that may write.
const kubeconfig = process.env["ENTREPOT_TEST_KUBECONFIG"];
if (kubeconfig !== undefined) {
  const report = (_: unknown, message: string): never => {
    throw new Error(message);
  };
  const files = { folder: process.cwd(), readFile: readText, report };
  const access = readKubeconfig(kubeconfig, { at: [], context: undefined }, files);
  if (access) describeCluster("a real API server", () => access);
}

test("a watch that breaks or ends goes on where it was, without a list", async () => {
  const ns = "broken";
  putPod(ns, "a", "a:1");
  const requests = podRequests(ns);
  using cluster = open(ns);
  await untilLines(cluster, [`Pod ${ns}/a docker.io/library/a:1`]);
  putPod(ns, "b", "b:1");
  const version = String(api.store.version);
  await until(async () => (await linesOf(cluster)).length === 2, { what: "two images" });
  await api.cut();
  await until(() => requests().at(-1) === `watch from ${version}`, { what: "the watch to go on" });
  api.watches.end();
  await until(() => requests().length >= 4, { what: "one more watch" });
  expect(requests().filter((request) => request === "list")).toEqual(["list"]);
});

test("bookmarks say how far all is known, so that an old history is not needed", async () => {
  const ns = "bookmarks";
  putPod(ns, "a", "a:1");
  const requests = podRequests(ns);
  using cluster = open(ns);
  await untilLines(cluster, [`Pod ${ns}/a docker.io/library/a:1`]);
  await until(() => api.watches.count > 0 && requests().length === 2, { what: "the watch" });
  api.store.compact();
  api.watches.bookmark();
  const { version } = api.store;
  await until(
    () => {
      api.watches.end();
      return requests().at(-1) === `watch from ${version}`;
    },
    { what: "a watch from the bookmark" },
  );
  expect(requests().filter((request) => request === "list")).toEqual(["list"]);
});

test("a list comes in pages, and begins anew if one of them has expired", async () => {
  const ns = "pages";
  for (const name of ["a", "b", "c", "d", "e"]) putPod(ns, name, `${name}:1`);
  const requests = podRequests(ns);
  let compactions = 0;
  const answered = api.requests.push.bind(api.requests);
  // In the middle of the first list.
  api.requests.push = (request) => {
    if (request.query["continue"] && compactions++ === 0) api.store.compact();
    return answered(request);
  };
  using cluster = open(ns, { page: 2 });
  await until(async () => (await linesOf(cluster).catch(() => [])).length === 5, {
    what: "five images",
  });
  expect(requests().slice(0, 5)).toEqual(["list", "list", "list", "list", "list"]);
  api.requests.push = answered;
});

test("while the cluster is away, its images stay known, and why it is away is said", async () => {
  const ns = "away";
  putPod(ns, "a", "a:1");
  using cluster = open(ns);
  const lines = [`Pod ${ns}/a docker.io/library/a:1`];
  await untilLines(cluster, lines);
  const states: boolean[] = [];
  cluster.onChange(() => states.push(cluster.state.isCurrent));
  await api.goAway();
  await until(() => cluster.state.problem?.includes("cannot be reached") ?? false, {
    what: "the problem",
  });
  expect(await linesOf(cluster)).toEqual(lines);
  api.comeBack();
  await until(() => cluster.state.isCurrent, { what: "the cluster to be back" });
  await until(() => states.at(-1) === true, { what: "the news of it" });
  expect(states).toContain(false);
});

test("what one right is missing for is named, and everything else is known", async () => {
  const ns = "forbidden";
  putPod(ns, "a", "a:1");
  api.forbidden.add("cronjobs").add("nodes");
  using cluster = open(ns);
  await until(() => cluster.state.problem !== undefined, { what: "the problem" });
  expect(cluster.state.problem).toContain(
    `returned 403 for ${api.url.origin}/apis/batch/v1/namespaces/${ns}/cronjobs: cronjobs is`,
  );
  expect(cluster.state.problem).toContain("deploy/kubernetes/rbac.yaml");
  expect(await failureOf(linesOf(cluster))).toContain("returned 403");
  api.forbidden.delete("cronjobs");
  await untilLines(cluster, [`Pod ${ns}/a docker.io/library/a:1`]);
});

test("a CA that did not sign the server's certificate, and a wrong token, are refused", async () => {
  await using other = await KubernetesApi.start();
  using stranger = new WatchedCluster({ access: { ...accessOf(), ca: other.ca } }, QUICK);
  const untrusted = "cannot be reached: its certificate is not signed by";
  expect(await failureOf(linesOf(stranger))).toContain(untrusted);
  const access = accessOf({ kind: "token", token: "wrong" });
  using refused = new WatchedCluster({ access }, QUICK);
  const wrong = ": Unauthorized. Renew the credentials";
  expect(await failureOf(linesOf(refused))).toContain(wrong);
});

test("a token file that is replaced, and a plugin whose token is revoked, go on", async () => {
  await using dir = await tempDir();
  const [file, plugin] = [dir.file("token"), dir.file("plugin")];
  const ns = "tokens";
  const first = api.token;
  await writeFile(file, `${first}\n`);
  const credential = `{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"'"$(cat "$1")"'"}}`;
  await writeFile(plugin, `#!/bin/sh\necho "$KUBERNETES_EXEC_INFO" > "$2"\necho '${credential}'\n`);
  await chmod(plugin, 0o755);
  const exec = {
    apiVersion: "client.authentication.k8s.io/v1",
    command: plugin,
    args: [file, dir.file("info $(x)")],
    env: {},
    isToldCluster: true,
  };
  const clusters = [
    accessOf({ kind: "token-file", file }),
    accessOf({ kind: "exec", plugin: exec }),
  ].map((access) => new WatchedCluster({ access, namespaces: [ns] }, QUICK));
  try {
    for (const cluster of clusters) await untilLines(cluster, []);
    const info: unknown = await Bun.file(dir.file("info $(x)")).json();
    expect(info).toMatchObject({
      kind: "ExecCredential",
      spec: { interactive: false, cluster: { server: api.url.origin } },
    });
    api.token = "another-token";
    await writeFile(file, api.token);
    await api.cut();
    putPod(ns, "a", "a:1");
    for (const cluster of clusters)
      await untilLines(cluster, [`Pod ${ns}/a docker.io/library/a:1`]);
  } finally {
    api.token = first;
    for (const cluster of clusters) cluster[Symbol.dispose]();
  }
});

test.each([
  ["no JSON", "{"],
  ["no object", "[]"],
  ["an event without an object", '{"type":"ADDED"}'],
  ["an event without a version", '{"type":"ADDED","object":{"metadata":{"name":"x"}}}'],
])("a watch that sends %s is begun anew", async (what, line) => {
  const ns = `odd-${what.replaceAll(" ", "-").toLowerCase()}`;
  putPod(ns, "a", "a:1");
  const requests = podRequests(ns);
  using cluster = open(ns);
  await untilLines(cluster, [`Pod ${ns}/a docker.io/library/a:1`]);
  await until(() => requests().length >= 2, { what: "the watch" });
  const before = requests().length;
  api.watches.sendLine(ns, line);
  await until(() => requests().length > before, { what: "another watch" });
  putPod(ns, "b", "b:1");
  await until(async () => (await linesOf(cluster)).length === 2, { what: "two images" });
});

test("a change that says nothing of images is no news", async () => {
  const ns = "health";
  putPod(ns, "a", "a:1");
  using cluster = open(ns);
  await untilLines(cluster, [`Pod ${ns}/a docker.io/library/a:1`]);
  const news: (readonly string[])[] = [];
  cluster.onChange(() => void linesOf(cluster).then((lines) => news.push(lines)));
  const pod = { metadata: { name: "a", namespace: ns }, spec: podSpec("a:1") };
  for (const phase of ["Pending", "Running"]) api.store.put("pods", { ...pod, status: { phase } });
  putPod(ns, "b", "b:1");
  await until(() => news.some((lines) => lines.length === 2), { what: "the other pod" });
  expect(news.filter((lines) => lines.length === 2)).toHaveLength(1);
});
