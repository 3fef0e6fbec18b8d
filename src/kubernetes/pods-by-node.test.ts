import { expect, test } from "bun:test";
import { until } from "../../test/harness/waiting.ts";
import { parseImageReference } from "../oci/image-reference.ts";
import type { Cluster, ClusterImage } from "./cluster.ts";
import { PodsByNode } from "./pods-by-node.ts";

function imageOf(text: string, by: string, ...hosts: readonly string[]): ClusterImage {
  const image = parseImageReference(text);
  if (!image) throw new Error(`${text} is no image`);
  return { image, by, isRunning: true, ...(hosts.length > 0 ? { hosts } : {}) };
}

/** A cluster whose images a test sets. */
function clusterOf(first: readonly ClusterImage[]) {
  let images: readonly ClusterImage[] | undefined = first;
  const listeners: (() => void)[] = [];
  const cluster: Cluster = {
    async *images() {
      if (!images) throw new Error("the cluster is away");
      yield* images;
    },
    state: { isCurrent: true },
    onChange: (changed) => void listeners.push(changed),
    [Symbol.dispose]() {},
  };
  const set = (changed: readonly ClusterImage[] | undefined): void => {
    images = changed;
    for (const listener of listeners) listener();
  };
  return { cluster, set };
}

test("the pods of a node are known by its addresses, while the cluster is away as they were", async () => {
  const first = [
    imageOf("nginx:1", "Pod shop/web-1", "10.0.0.1", "fd00::1"),
    imageOf("nginx:1", "Pod shop/web-2", "10.0.0.1"),
    imageOf("nginx:1", "Pod shop/web-3", "10.0.0.2"),
    imageOf("nginx:1", "Deployment shop/web"),
  ];
  const { cluster, set } = clusterOf(first);
  using pods = new PodsByNode(cluster, { settle: 1 });
  const nginx = (address: string) => pods.of(address, "docker.io/library/nginx:1");
  set(first);
  await until(() => nginx("10.0.0.2").length === 1, { what: "the pods" });
  expect([nginx("10.0.0.1"), nginx("fd00::1"), nginx("10.0.0.3")]).toEqual([
    ["shop/web-1", "shop/web-2"],
    ["shop/web-1"],
    [],
  ]);
  set(undefined);
  set([imageOf("nginx:1", "Pod shop/web-9", "10.0.0.3")]);
  await until(() => nginx("10.0.0.3").length === 1, { what: "the new pod" });
  expect(nginx("10.0.0.1")).toEqual([]);
});
