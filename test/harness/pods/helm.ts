import { fileURLToPath } from "node:url";
import { parseAllDocuments } from "yaml";
import { z } from "zod";
import { ensureKubectl } from "../../../scripts/components/kubectl.mjs";
import { type CommandResult, run } from "../processes.ts";
import { tempDir } from "../temp-dir.ts";

/** The folder of the chart. */
export const CHART: string = fileURLToPath(
  new URL("../../../deploy/chart/entrepot", import.meta.url),
);

const manifest = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: z.string() }),
});

/** A Kubernetes object, as helm renders it. */
export type Manifest = z.infer<typeof manifest>;

/** Runs helm to its end, with an empty home. */
export async function runHelm(args: readonly string[]): Promise<CommandResult> {
  await using home = await tempDir("helm");
  const { helm } = await ensureKubectl();
  return await run([helm, ...args], { env: { HOME: home.path, XDG_CACHE_HOME: home.path } });
}

export interface RenderOptions {
  readonly release?: string;
  readonly namespace?: string;
  /** Further arguments of `helm template`. */
  readonly args?: readonly string[];
}

/** What `helm template` prints for values, given as an object or as YAML. */
export async function renderText(
  values: string | Readonly<Record<string, unknown>> = {},
  { release = "entrepot", namespace = "entrepot", args = [] }: RenderOptions = {},
): Promise<CommandResult> {
  await using folder = await tempDir("values");
  const file = folder.file("values.yaml");
  // YAML includes JSON.
  await Bun.write(file, typeof values === "string" ? values : JSON.stringify(values));
  const where = ["--namespace", namespace, "--values", file];
  return await runHelm(["template", release, CHART, ...where, ...args]);
}

/**
 * The objects that the chart is rendered to.
 *
 * @throws Error with what helm says, if it refuses the values
 */
export async function renderChart(
  values: string | Readonly<Record<string, unknown>> = {},
  options: RenderOptions = {},
): Promise<Manifest[]> {
  const { code, stdout, stderr } = await renderText(values, options);
  if (code !== 0) throw new Error(stderr);
  return manifestsIn(stdout);
}

/** The objects in what helm prints. */
export function manifestsIn(text: string): Manifest[] {
  return parseAllDocuments(text)
    .map((document): unknown => document.toJS())
    .filter((value) => value !== null)
    .map((value) => manifest.parse(value));
}
