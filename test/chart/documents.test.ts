import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { z } from "zod";
import { fileSchema } from "../../src/config/schema.ts";
import { renderText } from "../harness/pods/helm.ts";
import { realTest } from "../harness/real-components.ts";

const ROOT = new URL("../../docs/how-to/", import.meta.url).pathname;
const DOCUMENTS = [
  "argo-cd.md",
  "back-up-and-restore.md",
  "flux.md",
  "install.md",
  "kubernetes.md",
  "use-gardener-manifests.md",
];

const mapping = z.record(z.string(), z.unknown());
const objectSchema = z.looseObject({ apiVersion: z.string(), kind: z.string() });
const applicationSchema = z.object({
  spec: z.object({ source: z.object({ helm: z.object({ valuesObject: mapping }) }) }),
});
const releaseSchema = z.object({ spec: z.object({ values: mapping }) });

/** The values of the chart that a block of YAML has, by where they are. */
interface Values {
  readonly title: string;
  readonly values: Readonly<Record<string, unknown>>;
}

const values: Values[] = [];

/** Whether a block is what its first line, or its kind, says. Values are collected. */
function check(title: string, text: string): void {
  const [, name] = /^# (\S+\.yaml)\n/.exec(text) ?? [];
  for (const document of parseAllDocuments(text)) {
    expect(document.errors).toEqual([]);
    const content: unknown = document.toJS();
    if (name === "values.yaml") values.push({ title, values: mapping.parse(content) });
    else if (name === "entrepot.yaml") fileSchema.parse(content);
    else {
      const { kind } = objectSchema.parse(content);
      if (kind === "Application") {
        values.push({
          title,
          values: applicationSchema.parse(content).spec.source.helm.valuesObject,
        });
      } else if (kind === "HelmRelease") {
        values.push({ title, values: releaseSchema.parse(content).spec.values });
      }
    }
  }
}

const blocks = DOCUMENTS.flatMap((name) => {
  const text = readFileSync(join(ROOT, name), "utf8");
  return [...text.matchAll(/```yaml\n([\s\S]*?)```/g)].map(
    ([, block = ""], index) => [`${name} (${index + 1})`, block] as const,
  );
});

test.each(blocks)("the YAML in %s is what it says", check);

realTest("helm takes the values of the documents", async () => {
  expect(values.length).toBeGreaterThan(5);
  const rendered = await Promise.all(
    values.map(async ({ title, values: given }) => {
      const { code, stderr } = await renderText(given);
      return { title, code, stderr };
    }),
  );
  expect(rendered.filter(({ code }) => code !== 0)).toEqual([]);
});
