import { z } from "zod";
import { reportProblems } from "../distribution/format.ts";
import type { RegistrySettings } from "../distribution/registry-settings.ts";
import type { Path } from "../parsing/yaml-source.ts";
import { isChartValues, readChart } from "./chart-values.ts";
import type { ManifestObject } from "./manifest-object.ts";
import { layerOfName, layerOfText, type ValueLayer, ValueLayers } from "./value-layers.ts";
import type { Cluster } from "./workloads.ts";

const source = z.object({
  chart: z.string().nullish(),
  helm: z
    .object({
      values: z.string().nullish(),
      valuesObject: z.looseObject({}).nullish(),
      parameters: z.array(z.object({ name: z.string(), value: z.unknown() })).nullish(),
    })
    .nullish(),
});
const application = z.object({
  spec: z.object({ source: source.nullish(), sources: z.array(source).nullish() }),
});
const helmChart = z.object({
  spec: z.object({
    chart: z.string().nullish(),
    valuesContent: z.string().nullish(),
    set: z.record(z.string(), z.unknown()).nullish(),
  }),
});
const helmRelease = z.object({
  spec: z.object({
    chart: z.object({ spec: z.object({ chart: z.string().nullish() }).nullish() }).nullish(),
    values: z.looseObject({}).nullish(),
    valuesFrom: z
      .array(
        z.object({
          kind: z.string(),
          name: z.string(),
          valuesKey: z.string().nullish(),
          targetPath: z.string().nullish(),
          optional: z.boolean().nullish(),
        }),
      )
      .nullish(),
  }),
});

/** Objects that install a chart: Flux's HelmRelease, k3s's HelmChart, Argo CD's Application. */
export const RELEASE_KINDS: readonly string[] = ["HelmRelease", "HelmChart", "Application"];

/** A chart that an object installs, and the values that it gets. */
interface Release {
  readonly chart: string;
  readonly layers: readonly ValueLayer[];
}

export function isRelease({ kind }: ManifestObject): boolean {
  return RELEASE_KINDS.includes(kind);
}

/** Reads the registries among the charts that an object installs. */
export function readRelease(object: ManifestObject, cluster: Cluster): RegistrySettings[] {
  const { context } = cluster;
  const { file } = object.origin([]);
  const releases = reportProblems(file, context, () => releasesOf(object, cluster)) ?? [];
  return releases.flatMap(({ chart, layers }) => {
    const values = new ValueLayers(layers, object.origin([]));
    if (!isChartValues(values.value) && !/(?:^|\/)docker-registry$/.test(chart)) return [];
    const release: ManifestObject = {
      ...object,
      origin: (at, what) => {
        const from = values.origin(at);
        return what === undefined ? from : { ...from, what };
      },
    };
    return readChart(values.value, release, cluster);
  });
}

function releasesOf(object: ManifestObject, cluster: Cluster): Release[] {
  const inPlace = (value: unknown, at: Path): ValueLayer => ({
    value,
    origin: (below) => object.origin([...at, ...below]),
  });
  switch (object.kind) {
    case "HelmChart": {
      const { chart, valuesContent, set } = helmChart.safeParse(object.value).data?.spec ?? {};
      const at = ["spec", "valuesContent"];
      const layers = [
        ...(valuesContent ? [layerOfText(valuesContent, object.origin(at))] : []),
        ...Object.entries(set ?? {}).map(([name, value]) =>
          layerOfName(name, value, object.origin(["spec", "set", name])),
        ),
      ];
      return [{ chart: chart ?? "", layers }];
    }
    case "HelmRelease": {
      const spec = helmRelease.safeParse(object.value).data?.spec;
      const own = spec?.values ? [inPlace(spec.values, ["spec", "values"])] : [];
      return [
        { chart: spec?.chart?.spec?.chart ?? "", layers: [...referred(object, cluster), ...own] },
      ];
    }
    default: {
      const spec = application.safeParse(object.value).data?.spec;
      const all = [
        ...(spec?.source ? [{ one: spec.source, at: ["spec", "source"] }] : []),
        ...(spec?.sources ?? []).map((one, index) => ({ one, at: ["spec", "sources", index] })),
      ];
      return all.map(({ one: { chart, helm }, at }) => ({
        chart: chart ?? "",
        layers: [
          ...(helm?.values
            ? [layerOfText(helm.values, object.origin([...at, "helm", "values"]))]
            : []),
          ...(helm?.valuesObject
            ? [inPlace(helm.valuesObject, [...at, "helm", "valuesObject"])]
            : []),
          ...(helm?.parameters ?? []).map(({ name, value }, index) =>
            layerOfName(name, value, object.origin([...at, "helm", "parameters", index])),
          ),
        ],
      }));
    }
  }
}

/** The values of a HelmRelease in ConfigMaps and Secrets. What is missing is reported. */
function referred(object: ManifestObject, { stored, context }: Cluster): ValueLayer[] {
  const references = helmRelease.safeParse(object.value).data?.spec.valuesFrom ?? [];
  return references.flatMap(({ kind, name, valuesKey, targetPath, optional }, index) => {
    const from = object.origin(["spec", "valuesFrom", index]);
    const key = valuesKey ?? "values.yaml";
    const values =
      kind === "Secret" ? stored.secret(name, [key], object, from) : stored.configMap(name, object);
    const found = "missing" in values ? undefined : values.get(key);
    if (found && targetPath) return [layerOfName(targetPath, found.text, found.from)];
    if (found) return [layerOfText(found.text, found.from)];
    if (!optional) {
      const message = "missing" in values ? values.missing : `has no key ${key}`;
      context.imported.reject(from, message);
    }
    return [];
  });
}
