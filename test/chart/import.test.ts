import { expect } from "bun:test";
import { z } from "zod";
import { mountedSecret } from "../../src/config/foreign/cluster-needs.ts";
import { GOLDEN_IMPORTS, readGolden } from "../../src/config/configtest/golden-imports.ts";
import { loadSettings } from "../../src/config/load.ts";
import { writeChartValues } from "../../src/render/cache-machine/chart-values.ts";
import { makeCertificate } from "../harness/services/certificates.ts";
import { type Manifest, renderChart } from "../harness/pods/helm.ts";
import { realTest } from "../harness/real-components.ts";
import { tempDir } from "../harness/temp-dir.ts";

const configMap = z.object({ data: z.object({ "entrepot.yaml": z.string() }) });
const statefulSet = z.object({
  spec: z.object({
    template: z.object({
      spec: z.object({
        containers: z.array(
          z.object({
            volumeMounts: z.array(z.object({ name: z.string(), mountPath: z.string() })),
          }),
        ),
        volumes: z.array(
          z.object({
            name: z.string(),
            secret: z.object({ secretName: z.string() }).optional(),
          }),
        ),
      }),
    }),
    volumeClaimTemplates: z.array(z.unknown()),
  }),
});
const service = z.object({
  metadata: z.object({ name: z.string(), namespace: z.string() }),
  spec: z.object({
    ports: z.array(z.object({ port: z.number(), targetPort: z.union([z.string(), z.number()]) })),
    selector: z.record(z.string(), z.string()),
  }),
});

/** One of each kind: with Secrets from manifests and from files, with TLS, and with every field. */
const RENDERED = [
  "five-registries",
  "gardener-fields",
  "gardener-mirror",
  "gardener-shoot",
  "gardener-traps",
  "kubernetes",
  "registry-3",
];

const values = (name: string): string => {
  const golden = GOLDEN_IMPORTS.find(([folder]) => folder === name);
  if (!golden) throw new Error(`there is no ${name}`);
  return writeChartValues(readGolden(golden, mountedSecret), "entrepot import", "v.yaml").text;
};
const only = <Schema extends z.ZodType>(
  objects: readonly Manifest[],
  kind: string,
  schema: Schema,
): z.infer<Schema> => schema.parse(objects.find((object) => object.kind === kind));

realTest(
  "helm takes the values of imports, and the cache the configuration that it renders",
  async () => {
    await using folder = await tempDir("pair");
    const pair = await makeCertificate(folder);
    const rendered = await Promise.all(
      RENDERED.map(async (name) => [name, await renderChart(values(name))] as const),
    );
    for (const [name, objects] of rendered) {
      const [container] = only(objects, "StatefulSet", statefulSet).spec.template.spec.containers;
      const mounts = container?.volumeMounts ?? [];
      const text = only(objects, "ConfigMap", configMap).data["entrepot.yaml"];
      const { upstreams } = loadSettings({
        flags: { config: "/etc/entrepot/entrepot.yaml" },
        env: {},
        readFile: (file) => {
          if (file === "/etc/entrepot/entrepot.yaml") return text;
          const isMounted = mounts.some(({ mountPath }) => file.startsWith(`${mountPath}/`));
          if (!isMounted) throw new Error(`${name}: nothing is mounted at ${file}`);
          if (file.endsWith(".key")) return pair.key;
          if (file.endsWith(".crt")) return pair.certificate;
          return `a-token-or-a-password-of-${file.replaceAll(/[^\w]/g, "-")}\n`;
        },
      });
      expect([name, upstreams.size > 0]).toEqual([name, true]);
    }
  },
);

realTest("each field of Gardener's caches and mirrors has its place in the cluster", async () => {
  const objects = await renderChart(values("gardener-fields"), { release: "hub", namespace: "ns" });
  const { template, volumeClaimTemplates } = only(objects, "StatefulSet", statefulSet).spec;
  expect(volumeClaimTemplates).toMatchObject([
    { spec: { storageClassName: "large", resources: { requests: { storage: "1566Gi" } } } },
  ]);
  const secrets = template.spec.volumes.flatMap(({ secret }) =>
    secret ? [secret.secretName] : [],
  );
  expect(secrets).toEqual(expect.arrayContaining(["ghcr-v2", "harbor-ca.v1"]));
  expect(
    objects.find(({ kind, metadata }) => kind === "Service" && metadata.name === "hub-entrepot"),
  ).toMatchObject({
    spec: { ipFamilyPolicy: "PreferDualStack", ipFamilies: ["IPv6", "IPv4"] },
  });
  const named = objects
    .filter(({ kind, metadata }) => kind === "Service" && metadata.name.startsWith("registry-"))
    .map((object) => service.parse(object));
  const selector = {
    "app.kubernetes.io/name": "entrepot",
    "app.kubernetes.io/instance": "hub",
    "app.kubernetes.io/component": "cache",
  };
  expect(named).toEqual([
    {
      metadata: { name: "registry-github", namespace: "ns" },
      spec: { ports: [{ port: 5000, targetPort: 5010 }], selector },
    },
    {
      metadata: { name: "registry-inner", namespace: "ns" },
      spec: { ports: [{ port: 5000, targetPort: 5020 }], selector },
    },
  ]);
});
