import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseAllDocuments, stringify } from "yaml";
import { z } from "zod";
import { ensureKubectl } from "../components/kubectl.mjs";

const CHART = fileURLToPath(new URL("../../deploy/chart/entrepot", import.meta.url));
const NAMESPACE = "entrepot";
/** The oldest version with all that is in them. Newer ones take it, too. */
const KUBERNETES = "1.31.0";
const HEADER =
  "Generated from deploy/chart/entrepot by `npm run manifests`: change the chart instead, or write an overlay.";

const labels = z.record(z.string(), z.string());
const manifestSchema = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({
    name: z.string(),
    namespace: z.string().optional(),
    labels: labels.optional(),
    annotations: labels.optional(),
  }),
});

type Manifest = z.infer<typeof manifestSchema>;

/** Files with manifests of one purpose. */
interface Part {
  readonly name: "cache" | "nodes" | "unwire";
  readonly objects: readonly Manifest[];
}

/** Labels and annotations that mean something to Helm alone, or change with its values. */
const OF_HELM = /^(?:helm\.sh\/|meta\.helm\.sh\/|app\.kubernetes\.io\/managed-by$|checksum\/)/;

/** Of the hook that takes the wiring back, what does it. */
const UNWIRING = new Set(["ServiceAccount", "DaemonSet"]);

/** The manifests without Helm, by their path in the repository. */
export async function manifestFiles(): Promise<Readonly<Record<string, string>>> {
  const parts = partsOf(await render());
  return Object.fromEntries([...parts.flatMap(kustomizeFiles), ...parts.map(plainFile)]);
}

async function render(): Promise<readonly Manifest[]> {
  const { helm } = await ensureKubectl();
  const args = [
    "template",
    "entrepot",
    CHART,
    "--namespace",
    NAMESPACE,
    "--kube-version",
    KUBERNETES,
  ];
  const { status, stdout, stderr } = spawnSync(helm, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`helm template failed: ${stderr}`);
  return parseAllDocuments(stdout)
    .map((document): unknown => document.toJS())
    .filter((value) => value !== null)
    .map((value) => manifestSchema.parse(value));
}

/** What Helm does when a release is removed, somebody else has to do by hand. */
function partsOf(objects: readonly Manifest[]): readonly Part[] {
  const named = objects.flatMap((object) => {
    const { labels: own = {}, annotations = {} } = object.metadata;
    const hook = annotations["helm.sh/hook"];
    // `kubectl rollout status` waits for what the hook's Job waits for.
    const isNeeded = hook === undefined || UNWIRING.has(object.kind);
    if (hook?.startsWith("test") || !isNeeded) return [];
    const isOfNodes = own["app.kubernetes.io/component"]?.startsWith("node") === true;
    const name = hook !== undefined ? "unwire" : isOfNodes ? "nodes" : "cache";
    return [{ name, object } as const];
  });
  return (["cache", "nodes", "unwire"] as const)
    .map((name) => ({
      name,
      objects: named.filter((one) => one.name === name).map(({ object }) => withoutHelm(object)),
    }))
    .filter((part) => part.objects.length > 0);
}

function withoutHelm(object: Manifest): Manifest {
  const strip = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(strip);
    if (typeof value !== "object" || value === null) return value;
    const kept = Object.entries(value)
      .filter(([key]) => !OF_HELM.test(key))
      .map(([key, inner]) => [key, strip(inner)] as const)
      .filter(([key, inner]) => key !== "annotations" || !isEmpty(inner));
    return Object.fromEntries(kept);
  };
  return manifestSchema.parse(strip(object));
}

function isEmpty(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).length === 0;
}

/** A base of Kustomize, whose configuration is a file of its own. */
function kustomizeFiles({ name, objects }: Part): [string, string][] {
  const folder = `deploy/kustomize/${name === "cache" ? "base" : name}`;
  const config = objects.find(({ kind }) => kind === "ConfigMap");
  const resources = objects.filter((object) => object !== config).map(withoutNamespace);
  const files = Object.entries(dataOf(config));
  const kustomization = {
    apiVersion: "kustomize.config.k8s.io/v1beta1",
    kind: "Kustomization",
    namespace: NAMESPACE,
    resources: [`${name}.yaml`],
    ...(config === undefined
      ? {}
      : {
          configMapGenerator: [
            {
              name: config.metadata.name,
              files: files.map(([file]) => file),
              options: { labels: config.metadata.labels },
            },
          ],
        }),
  };
  return [
    [`${folder}/kustomization.yaml`, textOf([kustomization])],
    [`${folder}/${name}.yaml`, textOf(resources)],
    ...files.map(([file, text]): [string, string] => [`${folder}/${file}`, text]),
  ];
}

/** Kustomize adds it. */
function withoutNamespace(object: Manifest): Manifest {
  const metadata = { ...object.metadata };
  delete metadata.namespace;
  return { ...object, metadata };
}

function dataOf(config: Manifest | undefined): Readonly<Record<string, string>> {
  return labels.parse(config?.["data"] ?? {});
}

/** One file for `kubectl apply`. */
function plainFile({ name, objects }: Part): [string, string] {
  const namespace = { apiVersion: "v1", kind: "Namespace", metadata: { name: NAMESPACE } };
  const all = name === "cache" ? [namespace, ...objects] : objects;
  const file = name === "cache" ? "entrepot" : `entrepot-${name}`;
  return [`deploy/kubernetes/${file}.yaml`, textOf(all)];
}

function textOf(objects: readonly object[]): string {
  const texts = objects.map((object) => stringify(ordered(object), { lineWidth: 0 }));
  return `# ${HEADER}\n${texts.join("---\n")}`;
}

/** In the order in which people write them. */
function ordered(object: object): object {
  const { apiVersion, kind, metadata, ...rest } = Object.fromEntries(Object.entries(object));
  return { apiVersion, kind, ...(metadata === undefined ? {} : { metadata }), ...rest };
}
