import { eachFile, type Format } from "../distribution/format.ts";
import { originIn } from "../foreign/imported-config.ts";
import { Secrets } from "../foreign/secrets.ts";
import { isChartValues, readChart } from "./chart-values.ts";
import type { ManifestObject } from "./manifest-object.ts";
import { StoredValues } from "./stored-values.ts";

/** An expression with which only Helm can do anything. */
const EXPRESSION =
  /\{\{-?\s{0,9}(?:(?:include|template|toYaml|with|if|range|tpl)\b)?[\s(]{0,9}\.(?:Values|Release|Chart)\b/;

/** Values of the usual chart, also those of a chart that has it as a dependency, once or several times. */
export const chartFile: Format = {
  title: "a values file of the chart docker-registry",
  matches: ({ value }) => valuesIn(value).length > 0,
  read: eachFile((file, context) => {
    const { source } = file.onlyDocument();
    const objects: ManifestObject[] = [];
    const stored = new StoredValues(objects, new Secrets(context.secrets));
    return valuesIn(source.value).flatMap(({ value, at }) => {
      const release: ManifestObject = {
        kind: "",
        apiVersion: "",
        name: at.at(-1) ?? "docker-registry",
        namespace: undefined,
        value,
        origin: (below, what) => originIn(source, [...at, ...below], what),
      };
      return readChart(value, release, { objects, stored, context });
    });
  }),
};

function valuesIn(value: unknown): { readonly value: unknown; readonly at: readonly string[] }[] {
  if (isChartValues(value)) return [{ value, at: [] }];
  if (typeof value !== "object" || value === null || Array.isArray(value)) return [];
  return Object.entries(value)
    .filter(([, inner]) => isChartValues(inner))
    .map(([key, inner]) => ({ value: inner, at: [key] }));
}

/** A manifest with expressions of Helm, which only Helm can fill in. */
export const helmTemplate: Format = {
  title: "a template of a Helm chart",
  matches: ({ text }) => EXPRESSION.test(text),
  read: eachFile(({ name, text }, { imported }) => {
    const line = text.slice(0, EXPRESSION.exec(text)?.index).split("\n").length;
    const message =
      "is a template, which only Helm can fill in: import the values, or the output of `helm template`";
    imported.problems.push({ file: name, line, column: 1, message });
    return [];
  }),
};
