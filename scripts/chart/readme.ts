import { table } from "../reference/markdown.ts";
import type { ChartValue } from "./values-file.ts";

/** The README of the chart: how to install it, and all values. */
export function chartReadme(values: readonly ChartValue[]): string {
  const rows = values
    .flatMap(leaves)
    .map(({ path, description, default: value }) => [
      `\`${path.join(".")}\``,
      `\`${shown(value)}\``,
      description,
    ]);
  return `${HEAD}
## Values

${table(["Value", "Default", "Meaning"], rows)}
`;
}

/** Values without those that only hold others. */
function leaves(value: ChartValue): readonly ChartValue[] {
  return value.children.length > 0 ? value.children.flatMap(leaves) : [value];
}

function shown(value: unknown): string {
  return typeof value === "string" ? (value === "" ? '""' : value) : JSON.stringify(value);
}

const HEAD = `# Entrepot's chart

A pull-through cache for every container registry in one process, and the wiring of nodes to it. This page is generated from values.yaml; [Run it in Kubernetes](../../../docs/how-to/kubernetes.md) says how to use it.

\`\`\`sh
helm install entrepot oci://ghcr.io/entrepot/charts/entrepot --namespace entrepot --create-namespace
\`\`\`

From a checkout, \`deploy/chart/entrepot\` takes the place of the URL.

- **One replica with a volume** is the default, at port 30020 of every node.
- **Several replicas** need a PostgreSQL and an object store: \`replicaCount\`, \`cluster.database\`, \`cluster.store\`.
- **Secrets** are never in values: they name Secrets that exist. The chart makes those of the admin port and of the replicas where you name none, once, and keeps them. Argo CD and \`helm template\` do not see the cluster, and would make others each time: they are refused, with the command that makes the Secret.
- **Values are checked** against a schema before anything is sent to the cluster: an unknown one is refused with its path. \`config\` is checked as the cache itself checks entrepot.yaml.
- **A change of \`config\`** is taken up by running pods within about a minute, the time in which Kubernetes updates mounted files. Pods are replaced only for what needs a restart.
`;
