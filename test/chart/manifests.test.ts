import { describe, expect } from "bun:test";
import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { z } from "zod";
import { ensureKubectl } from "../../scripts/components/kubectl.mjs";
import { manifestFiles } from "../../scripts/manifests/manifests.ts";
import { fileSchema } from "../../src/config/schema.ts";
import { renderChart } from "../harness/pods/helm.ts";
import { run } from "../harness/processes.ts";
import { realTest } from "../harness/real-components.ts";
import { type TempDir, tempDir } from "../harness/temp-dir.ts";

const ROOT = new URL("../..", import.meta.url).pathname;

const objectSchema = z.looseObject({
  kind: z.string(),
  metadata: z.looseObject({ name: z.string(), namespace: z.string().optional() }),
});

const ruleSchema = z.object({ kind: z.literal("ClusterRole"), rules: z.array(z.unknown()) });

/** What Kustomize makes of a folder. */
async function build(folder: string): Promise<z.infer<typeof objectSchema>[]> {
  const { kubectl } = await ensureKubectl();
  const { code, stdout, stderr } = await run([kubectl, "kustomize", folder]);
  expect([code, stderr]).toEqual([0, ""]);
  return parseAllDocuments(stdout).map((document) => objectSchema.parse(document.toJS()));
}

const nameOf = ({ kind, metadata: { name } }: z.infer<typeof objectSchema>): string =>
  `${kind} ${name.replace(/-[a-z0-9]{10}$/, "")}`;

/** The overlay that docs/how-to/install.md shows, beside a copy of the bases. */
async function writeOverlay(dir: TempDir): Promise<string> {
  await cp(join(ROOT, "deploy/kustomize"), dir.file("deploy/kustomize"), { recursive: true });
  const text = await readFile(join(ROOT, "docs/how-to/install.md"), "utf8");
  const blocks = [...text.matchAll(/```yaml\n# (\S+)\n([\s\S]*?)```/g)];
  const overlay = dir.file("overlay");
  await mkdir(overlay);
  for (const [, name = "", yaml = ""] of blocks) {
    if (["kustomization.yaml", "entrepot.yaml"].includes(name))
      await writeFile(join(overlay, name), yaml);
  }
  return overlay;
}

describe("the manifests without Helm", () => {
  realTest("are those of the chart: npm run manifests writes them", async () => {
    for (const [name, text] of Object.entries(await manifestFiles())) {
      const written = await readFile(join(ROOT, name), "utf8").catch(() => "(missing)");
      expect(`${name}\n${written}`).toBe(`${name}\n${text}`);
    }
  });

  realTest("are what Kustomize builds of the base", async () => {
    const built = await build(join(ROOT, "deploy/kustomize/base"));
    const rendered = (await renderChart()).filter(({ metadata }) => {
      const text = JSON.stringify(metadata);
      return !text.includes("helm.sh/hook") && !text.includes('component":"node"');
    });
    expect(built.map(nameOf).toSorted()).toEqual(rendered.map(nameOf).toSorted());
    const namespaces = built.map(({ metadata: { namespace } }) => namespace);
    expect(new Set(namespaces.filter((namespace) => namespace !== undefined))).toEqual(
      new Set(["entrepot"]),
    );
  });

  realTest("take the overlay of docs/how-to/install.md", async () => {
    await using dir = await tempDir("overlay");
    const built = await build(await writeOverlay(dir));
    const text = JSON.stringify(built);
    const set = built.find(({ kind }) => kind === "StatefulSet");
    const map = built.find(({ kind }) => kind === "ConfigMap");
    expect(set).toMatchObject({
      metadata: { name: "entrepot", namespace: "registry-cache" },
      spec: {
        template: { spec: { containers: [{ image: "registry.example/entrepot:0.1.0" }] } },
        volumeClaimTemplates: [{ spec: { resources: { requests: { storage: "500Gi" } } } }],
      },
    });
    const nodes = built.find(({ kind }) => kind === "DaemonSet");
    expect(nodes).toMatchObject({
      metadata: { name: "entrepot-node", namespace: "registry-cache" },
      spec: {
        template: { spec: { initContainers: [{ image: "registry.example/entrepot:0.1.0" }] } },
      },
    });
    // The pods are replaced as the configuration changes.
    expect(text).toContain(`"configMap":{"name":"${map?.metadata.name}"}`);
    const { data } = z.object({ data: z.record(z.string(), z.string()) }).parse(map);
    const config = fileSchema.parse(Bun.YAML.parse(data["entrepot.yaml"] ?? ""));
    expect(Object.keys(config.upstreams ?? {})).toContain("docker.io");
  });

  realTest("grant what the chart does to a cache that reads its cluster", async () => {
    const rules = (objects: readonly unknown[]): unknown =>
      objects.map((object) => ruleSchema.safeParse(object).data?.rules).find((found) => found);
    const text = await readFile(join(ROOT, "deploy/kubernetes/rbac.yaml"), "utf8");
    const plain = rules(parseAllDocuments(text).map((document): unknown => document.toJS()));
    expect(plain).toBeDefined();
    expect(rules(await renderChart({ config: { kubernetes: {} } }))).toEqual(plain);
  });
});
