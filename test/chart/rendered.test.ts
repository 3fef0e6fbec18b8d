import { expect } from "bun:test";
import { stringify } from "yaml";
import { loadSettings } from "../../src/config/load.ts";
import { changes } from "../harness/chart/changes.ts";
import { customResourceProblems, hasCustomType } from "../harness/chart/custom-resources.ts";
import { fixedParts } from "../harness/chart/fixed-parts.ts";
import { KUBERNETES_VERSIONS, kubernetesModels } from "../harness/chart/kubernetes-models.ts";
import { renderedSets } from "../harness/chart/rendered-sets.ts";
import { VALUE_SETS } from "../harness/chart/value-sets.ts";
import { makeCertificate } from "../harness/services/certificates.ts";
import { expectGolden } from "../harness/golden.ts";
import { type Manifest, renderChart } from "../harness/pods/helm.ts";
import { realTest } from "../harness/real-components.ts";
import { tempDir } from "../harness/temp-dir.ts";

/** What Kubernetes sets in pods, and Amazon EKS for the role of a service account. */
const POD = {
  KUBERNETES_SERVICE_HOST: "10.96.0.1",
  KUBERNETES_SERVICE_PORT: "443",
  AWS_WEB_IDENTITY_TOKEN_FILE: "/token",
  AWS_ROLE_ARN: "arn:aws:iam::1:role/entrepot",
};
/** Sets that ask for other volumes or other names, which an upgrade cannot give. */
const FROM_THE_START: ReadonlySet<string> = new Set([
  "names",
  "no-volume",
  "existing-claim",
  "storage-class",
]);
/** Kinds of which no package has the definition. */
const UNKNOWN: ReadonlySet<string> = new Set(["GrafanaDashboard", "VerticalPodAutoscaler"]);

realTest("the defaults are rendered to", async () => {
  const { defaults } = await renderedSets();
  expectGolden(
    "chart/defaults.yaml",
    defaults.map((one) => stringify(one, { lineWidth: 0 })).join("---\n"),
  );
});

for (const name of Object.keys(VALUE_SETS)) {
  realTest(`the values ${name} change what is rendered`, async () => {
    const { defaults, sets } = await renderedSets();
    expectGolden(`chart/${name}.txt`, await changes(defaults, sets.get(name) ?? []));
  });
}

for (const version of KUBERNETES_VERSIONS) {
  realTest(`Kubernetes ${version} knows every field of every manifest`, async () => {
    const models = await kubernetesModels(version);
    const problems: string[] = [];
    for (const [set, manifest] of await builtInManifests()) {
      problems.push(...(await models.problems(manifest)).map((problem) => `${set}: ${problem}`));
    }
    expect(problems).toEqual([]);
  });
}

realTest("the resources of others are as these define them", async () => {
  const manifests = (await allManifests()).map(([, manifest]) => manifest).filter(hasCustomType);
  expect(new Set(manifests.map(({ kind }) => kind)).size).toBe(4);
  expect(await customResourceProblems(manifests)).toEqual([]);
});

realTest("fields that do not exist, are missing or have another type are found", async () => {
  const [probe] = await renderChart(
    "extraObjects: [{ apiVersion: v1, kind: Pod, metadata: { name: wrong }, spec: { containers: [{ image: a, imagePulPolicy: Always, ports: [{ containerPort: '80' }] }] } }]",
  ).then((all) => all.filter(({ metadata }) => metadata.name === "wrong"));
  if (!probe) throw new Error("the pod was not rendered");
  expect(await (await kubernetesModels("1.32.0")).problems(probe)).toEqual([
    "Pod.spec.containers[0].imagePulPolicy does not exist",
    "Pod.spec.containers[0].name is missing",
    'Pod.spec.containers[0].ports[0].containerPort is no number: "80"',
  ]);
  const route: Manifest = {
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "HTTPRoute",
    metadata: { name: "wrong" },
    spec: { parentRef: [], rules: [] },
  };
  const [problem] = await customResourceProblems([route]);
  expect(problem).toContain("parentRef");
});

realTest("the cache accepts every configuration that is rendered", async () => {
  await using dir = await tempDir("chart");
  const { certificateFile, keyFile } = await makeCertificate(dir);
  const [certificate, key] = await Promise.all(
    [certificateFile, keyFile].map((file) => Bun.file(file).text()),
  );
  for (const [set, manifest] of await builtInManifests()) {
    const text = configurationIn(manifest);
    if (text === undefined) continue;
    const readFile = (file: string): string => {
      if (file === "/etc/entrepot/entrepot.yaml") return text;
      if (file.endsWith(".crt")) return certificate ?? "";
      if (file.endsWith("tls.key")) return key ?? "";
      return file.endsWith("/url") ? "postgres://entrepot:secret@db.example/entrepot" : file;
    };
    const flags = { config: "/etc/entrepot/entrepot.yaml" };
    const { upstreams } = loadSettings({ flags, env: POD, readFile });
    expect([set, upstreams.size > 0]).toEqual([set, true]);
  }
});

realTest(
  "an upgrade from the defaults to any values changes nothing that cannot be changed",
  async () => {
    const { defaults, sets } = await renderedSets();
    const before = fixedParts(defaults);
    expect(before.map(([name]) => name)).toEqual([
      "DaemonSet/entrepot-node",
      "StatefulSet/entrepot",
    ]);
    for (const [set, manifests] of sets) {
      if (!FROM_THE_START.has(set)) expect([set, fixedParts(manifests)]).toEqual([set, before]);
    }
  },
);

/** Each manifest once, with the first set that has it: most are those of the defaults. */
async function allManifests(): Promise<(readonly [set: string, Manifest])[]> {
  const { defaults, sets } = await renderedSets();
  const found = new Map<string, readonly [string, Manifest]>();
  for (const [set, manifests] of [["defaults", defaults] as const, ...sets]) {
    for (const manifest of manifests) {
      const text = JSON.stringify(manifest);
      if (!found.has(text)) found.set(text, [set, manifest]);
    }
  }
  return Array.from(found.values());
}

async function builtInManifests(): Promise<(readonly [set: string, Manifest])[]> {
  const all = await allManifests();
  return all.filter(([, manifest]) => !hasCustomType(manifest) && !UNKNOWN.has(manifest.kind));
}

function configurationIn({ kind, data }: Manifest): string | undefined {
  if (kind !== "ConfigMap" || typeof data !== "object" || data === null) return undefined;
  const text = "entrepot.yaml" in data ? data["entrepot.yaml"] : undefined;
  return typeof text === "string" ? text : undefined;
}
