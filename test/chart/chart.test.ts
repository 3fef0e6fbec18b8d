import { expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { startDockerRegistry } from "../harness/registries/docker-registry.ts";
import { localUpstream, startEntrepot } from "../harness/cache/entrepot.ts";
import { ensureKubectl } from "../../scripts/components/kubectl.mjs";
import { CHART, manifestsIn, renderText, runHelm } from "../harness/pods/helm.ts";
import { KubernetesApi } from "../harness/kubernetes-api/kubernetes-api.ts";
import { mustRun } from "../harness/processes.ts";
import { realTest } from "../harness/real-components.ts";
import { tempDir } from "../harness/temp-dir.ts";

realTest("helm finds nothing to mend in the chart", async () => {
  const { code, stdout } = await runHelm(["lint", "--strict", CHART]);
  expect([code, stdout]).toEqual([0, expect.stringContaining("0 chart(s) failed")]);
});

test("the chart's version is that of the program", async () => {
  const read = (file: string) => readFile(join(CHART, file), "utf8");
  const packageFile = z.object({ version: z.string() });
  const { version } = packageFile.parse(JSON.parse(await read("../../../package.json")));
  const chart = await read("Chart.yaml");
  expect(chart).toContain(`\nversion: ${version}\n`);
  expect(chart).toContain(`\nappVersion: ${version}\n`);
  expect(chart).toContain(`ghcr.io/entrepot/entrepot:${version}\n`);
  expect(await read("LICENSE")).toBe(await read("../../../LICENSE"));
});

realTest(
  "helm pushes the chart's package to a registry, and pulls it through the cache",
  async () => {
    await using folder = await tempDir("package");
    const packaged = await runHelm(["package", CHART, "--destination", folder.path]);
    expect([packaged.code, packaged.stderr]).toEqual([0, ""]);
    const archive = folder.file("entrepot-0.1.0.tgz");
    const files = (await mustRun(["tar", "-tzf", archive])).split("\n");
    expect(files).toEqual(
      expect.arrayContaining(["entrepot/values.schema.json", "entrepot/files/rules.yaml"]),
    );
    await using registry = await startDockerRegistry();
    const pushed = await runHelm([
      "push",
      archive,
      `oci://${registry.address}/charts`,
      "--plain-http",
    ]);
    expect(pushed.code).toBe(0);
    await using cache = await startEntrepot({
      config: { upstreams: { "charts.test": localUpstream(registry.url) } },
    });
    const pull = async (): Promise<Buffer> => {
      await using pulled = await tempDir("pulled");
      const source = `oci://${cache.address}/charts.test/charts/entrepot`;
      const { code, stderr } = await runHelm([
        "pull",
        source,
        "--version",
        "0.1.0",
        "--plain-http",
        "--destination",
        pulled.path,
      ]);
      expect([code, code === 0 ? "" : stderr]).toEqual([0, ""]);
      return Buffer.from(await Bun.file(pulled.file("entrepot-0.1.0.tgz")).bytes());
    };
    const original = Buffer.from(await Bun.file(archive).bytes());
    expect((await pull()).equals(original)).toBe(true);
    await registry.stop();
    expect((await pull()).equals(original)).toBe(true);
  },
);

realTest("generated secrets are made once, where the cluster is seen", async () => {
  await using api = await KubernetesApi.start();
  await using folder = await tempDir("kubeconfig");
  const kubeconfig = folder.file("config");
  await Bun.write(kubeconfig, JSON.stringify(api.kubeconfig()));
  const values = ["--set", "admin.expose=true"];
  const where = [
    "--namespace",
    "entrepot",
    "--kubeconfig",
    kubeconfig,
    "--dry-run=server",
    "--disable-openapi-validation",
  ];
  const render = () =>
    runHelm([
      "template",
      "entrepot",
      CHART,
      ...where,
      ...values,
      "--show-only",
      "templates/secrets.yaml",
    ]);
  const tokenIn = (text: string) => /adminToken: (\S+)/.exec(text)?.[1];

  const make = async (path: string, body: object): Promise<void> => {
    const headers = { authorization: `Bearer ${api.token}`, "content-type": "application/json" };
    const response = await fetch(`${api.url.origin}${path}`, {
      method: "POST",
      headers,
      body: JSON.stringify(body),
      tls: { ca: api.ca },
    });
    expect(response.status).toBe(201);
  };

  // A cluster without its own namespace is none.
  const unseen = await render();
  expect([unseen.code, unseen.stderr]).toEqual([
    1,
    expect.stringContaining("this rendering sees no cluster"),
  ]);

  await make("/api/v1/namespaces", { metadata: { name: "kube-system" } });
  const [first, second] = [await render(), await render()];
  expect([first.code, first.stderr]).toEqual([0, ""]);
  expect(tokenIn(first.stdout)).toMatch(/^[\w+/=]{40,}$/);
  expect(tokenIn(second.stdout)).not.toBe(tokenIn(first.stdout));

  const data = {
    adminToken: btoa("the token of the installation"),
    readToken: btoa("another token of it"),
  };
  await make("/api/v1/namespaces/entrepot/secrets", {
    metadata: {
      name: "entrepot-admin",
      namespace: "entrepot",
      // As helm leaves it, so that it is its own.
      labels: { "app.kubernetes.io/managed-by": "Helm" },
      annotations: {
        "meta.helm.sh/release-name": "entrepot",
        "meta.helm.sh/release-namespace": "entrepot",
      },
    },
    data,
  });
  const upgraded = await render();
  expect([upgraded.code, upgraded.stderr]).toEqual([0, ""]);
  expect(tokenIn(upgraded.stdout)).toBe(data.adminToken);
});

realTest("kubectl takes every manifest of the defaults", async () => {
  await using api = await KubernetesApi.start();
  await using folder = await tempDir("kubectl");
  const [kubeconfig, manifests] = [folder.file("config"), folder.file("manifests.yaml")];
  const { stdout } = await renderText({}, { args: ["--no-hooks"] });
  await Promise.all([
    Bun.write(kubeconfig, JSON.stringify(api.kubeconfig())),
    Bun.write(manifests, stdout),
  ]);
  const { kubectl } = await ensureKubectl();
  const dry = ["create", "--dry-run=client", "--validate=false", "--output=name"];
  const taken = await mustRun([kubectl, `--kubeconfig=${kubeconfig}`, ...dry, "-f", manifests], {
    env: { HOME: folder.path },
  });
  expect(taken.trim().split("\n").toSorted()).toEqual(
    manifestsIn(stdout)
      .map(({ kind, apiVersion, metadata }) => {
        const group = apiVersion.includes("/") ? `.${apiVersion.split("/")[0]}` : "";
        return `${kind.toLowerCase()}${group}/${metadata.name}`;
      })
      .toSorted(),
  );
});
