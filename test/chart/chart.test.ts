import { expect } from "bun:test";
import { loadSettings } from "../../src/config/load.ts";
import { filesOf } from "../../src/config/configtest/load-text.ts";
import { CHART, renderChart, renderText, runHelm } from "../harness/helm.ts";
import { realTest } from "../harness/real-components.ts";

realTest("helm finds nothing to mend in the chart", async () => {
  const { code, stdout } = await runHelm(["lint", "--strict", CHART]);
  expect([code, stdout]).toEqual([0, expect.stringContaining("0 chart(s) failed")]);
});

realTest("the cache accepts the configuration that is rendered", async () => {
  const objects = await renderChart({ config: { upstreams: { "reg.test": {} } } });
  const map = objects.find(({ kind }) => kind === "ConfigMap");
  const text = JSON.parse(JSON.stringify(map))["data"]["entrepot.yaml"];
  const loaded = loadSettings({
    flags: { config: "/etc/entrepot/entrepot.yaml" },
    env: {},
    readFile: filesOf({ "/etc/entrepot/entrepot.yaml": text }),
  });
  expect(Array.from(loaded.upstreams.keys(), String)).toContain("reg.test");
});

realTest("replicas without what they share are refused, with what to set", async () => {
  const alone = await renderText({ replicaCount: 3 });
  expect([alone.code, alone.stderr]).toEqual([
    1,
    expect.stringContaining("set cluster.database.existingSecret"),
  ]);
  const database = { existingSecret: "postgres" };
  const unshared = await renderText({ replicaCount: 3, cluster: { database } });
  expect(unshared.stderr).toContain("set cluster.store.url");
});
