import { expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { KubernetesApi } from "../harness/kubernetes-api/kubernetes-api.ts";
import { run, startProcess } from "../harness/processes.ts";
import { tempDir } from "../harness/temp-dir.ts";
import { until } from "../harness/waiting.ts";
import { PROGRAM } from "./program.ts";

const name = "entrepot-cleanup";

/** A DaemonSet of which so many pods are ready. */
function daemonSet(
  observedGeneration: number,
  ready: number,
): Parameters<KubernetesApi["store"]["put"]>[1] {
  return {
    metadata: { name, namespace: "entrepot", generation: 2 },
    status: { observedGeneration, desiredNumberScheduled: 3, numberReady: ready },
  };
}

test("the pods of a DaemonSet are waited for on every node, also while the API is away", async () => {
  await using api = await KubernetesApi.start();
  await using dir = await tempDir("await");
  const kubeconfig = dir.file("kubeconfig");
  await writeFile(kubeconfig, JSON.stringify(api.kubeconfig()));
  const command = (within: string): string[] => {
    const of = [`--daemonset=${name}`, "--namespace=entrepot", `--kubeconfig=${kubeconfig}`];
    return [PROGRAM, "node", "await", ...of, `--within=${within}`];
  };

  const missing = await run(command("5s"));
  expect([missing.code, missing.stdout]).toEqual([1, expect.stringContaining("returned 404")]);

  // What its controller has not seen yet says that it is for no node.
  const unseen = {
    ...daemonSet(1, 0),
    status: { observedGeneration: 1, desiredNumberScheduled: 0, numberReady: 0 },
  };
  api.store.put("daemonsets", unseen);
  await using waiting = await startProcess({
    name: "entrepot node await",
    command: command("60s"),
    ready: (started) => started.output().includes("0 of 0 nodes are done"),
  });
  const says = (text: string): Promise<unknown> =>
    until(() => waiting.output().includes(text), { what: text, detail: () => waiting.output() });
  api.store.put("daemonsets", daemonSet(2, 1));
  await says("1 of 3 nodes are done");
  await api.goAway();
  await says("cannot be reached");
  api.comeBack();
  api.store.put("daemonsets", daemonSet(2, 3));
  expect(await waiting.ended()).toBe(0);

  api.store.put("daemonsets", daemonSet(2, 2));
  const late = await run(command("1s"));
  expect([late.code, late.stdout]).toEqual([1, expect.stringContaining("2 of 3 nodes are done")]);
  api.forbidden.add("daemonsets");
  const forbidden = await run(command("5s"));
  expect([forbidden.code, forbidden.stdout]).toEqual([1, expect.stringContaining("returned 403")]);
  const outside = await run(command("5s").slice(0, 5), {
    env: { KUBERNETES_SERVICE_HOST: "" },
  });
  expect([outside.code, outside.stderr]).toEqual([
    2,
    expect.stringContaining("the cluster cannot be asked"),
  ]);
}, 60_000);
