import { expect, test } from "bun:test";
import { until } from "../waiting.ts";
import type { ClusterAccess } from "../../../src/config/kubernetes-api/kubernetes-settings.ts";
import { imageName } from "../../../src/oci/image-reference.ts";
import type { Cluster } from "../../../src/kubernetes/cluster.ts";
import {
  WatchedCluster,
  type WatchedClusterOptions,
} from "../../../src/kubernetes/watched-cluster.ts";
import { ApiWriter, podSpec, templateOf } from "./api-writer.ts";

const DIGEST = `sha256:${"a".repeat(64)}`;
const JOB = { restartPolicy: "Never" };

/** One line for each image that is known: `Pod x/web docker.io/library/nginx:1`, and `(idle)` if nothing runs it. */
export async function linesOf(cluster: Cluster): Promise<string[]> {
  const lines: string[] = [];
  for await (const { image, by, isRunning } of cluster.images(AbortSignal.timeout(20_000))) {
    lines.push(`${by} ${imageName(image)}${isRunning ? "" : " (idle)"}`);
  }
  return lines.toSorted();
}

/** Waits until the images are these. */
export async function untilLines(cluster: Cluster, expected: readonly string[]): Promise<void> {
  let lines: string[] = [];
  const isThere = async (): Promise<boolean> => {
    lines = await linesOf(cluster);
    return lines.join("\n") === expected.join("\n");
  };
  await until(isThere, { what: "the images", detail: () => lines.join("\n") });
}

/** What holds of a cluster's images with every API server: a real one and the stand-in of the tests. */
export function describeCluster(
  server: string,
  accessOf: () => ClusterAccess,
  options: WatchedClusterOptions = {},
): void {
  const open = (namespace: string): WatchedCluster =>
    new WatchedCluster({ access: accessOf(), namespaces: [namespace] }, options);

  test(`${server}: images of pods and of the templates of all workloads, also scaled to zero`, async () => {
    const writer = new ApiWriter(accessOf());
    const ns = await writer.makeNamespace();
    const job = { template: { spec: { ...podSpec("batch:1"), ...JOB } } };
    await writer.put("Pod", ns, "web", {
      spec: {
        ...podSpec("nginx:1.27", "ghcr.io/org/side@" + DIGEST),
        initContainers: [{ name: "i", image: "busybox" }],
      },
      status: { containerStatuses: [{ name: "c0", imageID: `docker.io/library/nginx@${DIGEST}` }] },
    });
    await writer.put("Deployment", ns, "api", { spec: templateOf("quay.io/org/api:v2") });
    await writer.put("Deployment", ns, "off", {
      spec: templateOf("quay.io/org/off:v2", { replicas: 0 }),
    });
    await writer.put("StatefulSet", ns, "db", {
      spec: templateOf("postgres:17", { serviceName: "db" }),
    });
    await writer.put("DaemonSet", ns, "agent", { spec: templateOf("registry.k8s.io/agent:1") });
    await writer.put("ReplicaSet", ns, "alone", { spec: templateOf("alone:1") });
    await writer.put("Job", ns, "once", { spec: job });
    await writer.put("CronJob", ns, "nightly", {
      spec: { schedule: "0 3 * * *", suspend: true, jobTemplate: { spec: job } },
    });
    using cluster = open(ns);
    await untilLines(cluster, [
      `CronJob ${ns}/nightly docker.io/library/batch:1 (idle)`,
      `DaemonSet ${ns}/agent registry.k8s.io/agent:1`,
      `Deployment ${ns}/api quay.io/org/api:v2`,
      `Deployment ${ns}/off quay.io/org/off:v2 (idle)`,
      `Job ${ns}/once docker.io/library/batch:1`,
      `Pod ${ns}/web docker.io/library/busybox:latest`,
      `Pod ${ns}/web docker.io/library/nginx:1.27`,
      `Pod ${ns}/web docker.io/library/nginx@${DIGEST}`,
      `Pod ${ns}/web ghcr.io/org/side@${DIGEST}`,
      `ReplicaSet ${ns}/alone docker.io/library/alone:1`,
      `StatefulSet ${ns}/db docker.io/library/postgres:17`,
    ]);
    expect(cluster.state).toEqual({ isCurrent: true });
  });

  test(`${server}: changes are seen as they happen, and only those of the given namespaces`, async () => {
    const writer = new ApiWriter(accessOf());
    const [ns, other] = [await writer.makeNamespace(), await writer.makeNamespace()];
    using cluster = open(ns);
    await untilLines(cluster, []);
    await writer.put("Deployment", ns, "api", { spec: templateOf("api:1") });
    await writer.put("Deployment", other, "api", { spec: templateOf("other:1") });
    await untilLines(cluster, [`Deployment ${ns}/api docker.io/library/api:1`]);
    await writer.put("Deployment", ns, "api", { spec: templateOf("api:2") });
    await writer.put("Pod", ns, "api-1", { spec: podSpec("api:2") });
    await untilLines(cluster, [
      `Deployment ${ns}/api docker.io/library/api:2`,
      `Pod ${ns}/api-1 docker.io/library/api:2`,
    ]);
    await writer.remove("Deployment", ns, "api");
    await untilLines(cluster, [`Pod ${ns}/api-1 docker.io/library/api:2`]);
    expect(cluster.state).toEqual({ isCurrent: true });
  });
}
