import { type Manifest, renderChart } from "../pods/helm.ts";
import { VALUE_SETS } from "./value-sets.ts";

/** What each set of values is rendered to, and what the defaults are, at a version of Kubernetes. */
export interface RenderedSets {
  readonly defaults: readonly Manifest[];
  readonly sets: ReadonlyMap<string, readonly Manifest[]>;
}

const VERSION = "1.34.0";
let rendered: Promise<RenderedSets> | undefined;

/** Renders all of them, once. */
export function renderedSets(): Promise<RenderedSets> {
  rendered ??= render();
  return rendered;
}

async function render(): Promise<RenderedSets> {
  const options = { args: ["--kube-version", VERSION] };
  const sets = new Map<string, readonly Manifest[]>();
  const waiting = Object.entries(VALUE_SETS);
  const worker = async (): Promise<void> => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const [name, values] = next;
      sets.set(name, await renderChart(values, options));
    }
  };
  const [defaults] = await Promise.all([renderChart({}, options), worker(), worker()]);
  return { defaults, sets };
}
