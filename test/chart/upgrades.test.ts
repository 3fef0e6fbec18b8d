import { expect } from "bun:test";
import { cp } from "node:fs/promises";
import { fixedParts } from "../harness/chart/fixed-parts.ts";
import { CHART, type Manifest, manifestsIn, renderChart, runHelm } from "../harness/pods/helm.ts";
import { realTest } from "../harness/real-components.ts";
import { tempDir } from "../harness/temp-dir.ts";

realTest(
  "an upgrade to the next version changes nothing that cannot be changed, and replaces no cache",
  async () => {
    await using folder = await tempDir("chart");
    const next = folder.file("entrepot");
    await cp(CHART, next, { recursive: true });
    const metadata = `${next}/Chart.yaml`;
    const text = await Bun.file(metadata).text();
    await Bun.write(metadata, text.replace(/^version: .*$/m, "version: 9.9.9"));
    const { stdout } = await runHelm(["template", "entrepot", next, "--namespace", "entrepot"]);
    const [before, after] = [await renderChart(), manifestsIn(stdout)];
    expect(fixedParts(after)).toEqual(fixedParts(before));
    const pods = (all: readonly Manifest[]) =>
      all.find(({ kind }) => kind === "StatefulSet")?.["spec"];
    expect(pods(after)).toEqual(pods(before));
  },
);

realTest("each version of Kubernetes gets the traffic distribution that it knows", async () => {
  const of = async (version: string, wanted: string): Promise<unknown> => {
    const values = { service: { trafficDistribution: wanted } };
    const all = await renderChart(values, { args: ["--kube-version", version] });
    const service = all.find(
      ({ kind, metadata }) => kind === "Service" && metadata.name === "entrepot",
    );
    return Object(service?.["spec"])["trafficDistribution"];
  };
  const versions = ["1.27.0", "1.30.14", "1.31.0", "1.33.9", "1.34.0", "1.36.2-gke.1"];
  expect(await Promise.all(versions.map((version) => of(version, "PreferSameNode")))).toEqual([
    undefined,
    undefined,
    "PreferClose",
    "PreferClose",
    "PreferSameNode",
    "PreferSameNode",
  ]);
  expect(await of("1.34.0", "")).toBeUndefined();
});

realTest("a configuration that running pods take up replaces none of them", async () => {
  const checksum = async (config: object): Promise<unknown> => {
    const all = await renderChart({ config });
    const set = all.find(({ kind }) => kind === "StatefulSet");
    return Object(set?.["spec"])["template"]["metadata"]["annotations"]["checksum/config"];
  };
  const [none, taken, limited, port] = await Promise.all([
    checksum({ upstreams: { "quay.io": {} } }),
    checksum({ maxRate: "5MiB", upstreams: { "quay.io": { tagTtl: "5m" }, "ghcr.io": {} } }),
    checksum({ storage: { maxSize: "5GiB" }, upstreams: { "quay.io": {} } }),
    checksum({ upstreams: { "quay.io": { port: 5010 } } }),
  ]);
  expect(taken).toBe(none);
  expect(new Set([none, limited, port]).size).toBe(3);
});
