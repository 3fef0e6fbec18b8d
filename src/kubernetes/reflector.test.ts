import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { untilLines } from "../../test/harness/kubernetes-api/cluster-conformance.ts";
import { KubernetesApi } from "../../test/harness/kubernetes-api/kubernetes-api.ts";
import { openCluster, podRequests, putPod } from "../../test/harness/kubernetes-api/watching.ts";
import { until } from "../../test/harness/waiting.ts";

let api: KubernetesApi;
beforeAll(async () => {
  api = await KubernetesApi.start();
});
afterAll(async () => {
  await api[Symbol.asyncDispose]();
});
afterEach(() => {
  api.watches.refusesByStatus = false;
});

for (const refusesByStatus of [false, true]) {
  const how = refusesByStatus ? "by its status" : "by an event";
  test(`a version that is too old, refused ${how}, has all listed again`, async () => {
    const ns = `gone-${refusesByStatus}`;
    putPod(api, ns, "a", "a:1");
    putPod(api, ns, "b", "b:1");
    using cluster = openCluster(api, ns);
    await untilLines(cluster, [
      `Pod ${ns}/a docker.io/library/a:1`,
      `Pod ${ns}/b docker.io/library/b:1`,
    ]);
    api.watches.refusesByStatus = refusesByStatus;
    await api.goAway();
    api.store.remove("pods", `${ns}/a`);
    api.store.compact();
    api.comeBack();
    await untilLines(cluster, [`Pod ${ns}/b docker.io/library/b:1`]);
    putPod(api, ns, "c", "c:1");
    await untilLines(cluster, [
      `Pod ${ns}/b docker.io/library/b:1`,
      `Pod ${ns}/c docker.io/library/c:1`,
    ]);
  });
}

test("what is too old after failures is not current until all is listed again, which is soon", async () => {
  const ns = "gone-late";
  putPod(api, ns, "a", "a:1");
  const pauses: number[] = [];
  const refused = Promise.withResolvers<void>();
  using cluster = openCluster(api, ns, {
    longestPause: 1e9,
    rest: async (milliseconds, signal) => {
      pauses.push(milliseconds);
      if (pauses.length === 200) refused.resolve();
      // While the server is away, its clients must not take all time.
      await Bun.sleep(signal.aborted ? 0 : 1);
    },
  });
  await untilLines(cluster, [`Pod ${ns}/a docker.io/library/a:1`]);
  await api.goAway();
  await refused.promise;
  api.store.remove("pods", `${ns}/a`);
  api.store.compact();
  const listing = Promise.withResolvers<void>();
  api.listing = listing.promise;
  const requests = podRequests(api, ns);
  try {
    api.comeBack();
    await until(() => requests().includes("list"), { what: "a list" });
    expect(cluster.state).toMatchObject({ isCurrent: false, problem: expect.any(String) });
    expect(cluster.state.problem).toContain("too old resource version");
    expect(pauses.some((pause, at) => pause <= 5 && (pauses[at - 1] ?? 0) > 1000)).toBe(true);
  } finally {
    api.listing = undefined;
    listing.resolve();
  }
  await untilLines(cluster, []);
  await until(() => cluster.state.isCurrent, { what: "all to be current" });
});

test("a version that the server does not know, as after a restored backup, has all listed again", async () => {
  const ns = "restored";
  putPod(api, ns, "a", "a:1");
  const requests = podRequests(api, ns);
  using cluster = openCluster(api, ns);
  await untilLines(cluster, [`Pod ${ns}/a docker.io/library/a:1`]);
  await until(() => requests().length >= 2, { what: "the watch" });
  const tooLarge = { code: 504, message: "Too large resource version: 2000, current: 1000" };
  api.watches.sendLine(ns, JSON.stringify({ type: "ERROR", object: tooLarge }));
  await until(() => requests().filter((request) => request === "list").length === 2, {
    what: "another list",
  });
  await until(() => cluster.state.isCurrent, { what: "all to be current" });
});
