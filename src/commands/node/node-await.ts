import { readFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { Command } from "commander";
import { z } from "zod";
import { readKubernetes } from "../../config/kubeconfig/read-kubernetes.ts";
import { parseDuration } from "../../config/parsing/units.ts";
import { ApiClient } from "../../kubernetes/api-client.ts";
import { KubernetesError } from "../../kubernetes/kubernetes-error.ts";
import { UsageError, run } from "./node-options.ts";
import { print } from "./node-print.ts";

interface AwaitOptions {
  readonly daemonset: string;
  readonly namespace: string;
  readonly within: string;
  readonly kubeconfig?: string;
}

const INTERVAL_MS = 2_000;

/**
 * `entrepot node await`: waits for the pods of a DaemonSet, as the chart does when it is removed. How many
 * nodes there are is known to its status alone: names in DNS have only the pods that were made already.
 */
export function awaitCommand(): Command {
  return new Command("await")
    .description(
      "wait until the pods of a DaemonSet, such as those of a rollback, are ready on every node",
    )
    .requiredOption("--daemonset <name>", "the DaemonSet")
    .requiredOption("--namespace <name>", "its namespace")
    .option("--within <duration>", "how long to wait", "4m")
    .option(
      "--kubeconfig <file>",
      "how to reach the cluster; by default by the pod's service account",
    )
    .action((options: AwaitOptions) => run(undefined, () => awaitPods(options)));
}

async function awaitPods(options: AwaitOptions): Promise<number> {
  const withinMs = parseDuration(options.within);
  if (withinMs === undefined)
    throw new UsageError(`--within ${options.within} is not a valid duration: write 4m`);
  using api = openApi(options);
  const { daemonset, namespace } = options;
  const path = `/apis/apps/v1/namespaces/${encodeURIComponent(namespace)}/daemonsets/${encodeURIComponent(daemonset)}`;
  const late = AbortSignal.timeout(withinMs);
  let told: string | undefined;
  const tell = (text: string): void => {
    if (text !== told) print(text);
    told = text;
  };
  while (!late.aborted) {
    try {
      const status = statusOf(await api.read(path, late));
      tell(`${status.ready} of ${status.desired} nodes are done`);
      if (status.isDone) return 0;
    } catch (error) {
      if (late.aborted) break;
      // The API may be away for a moment, also because its own node is restarted.
      if (!(error instanceof KubernetesError)) throw error;
      if (error.kind === "forbidden" || error.kind === "missing") {
        print(`failed: ${error.message}`);
        return 1;
      }
      tell(error.message);
    }
    await setTimeout(INTERVAL_MS, undefined, { signal: late }).catch(() => {});
  }
  print(
    `failed: not all nodes were done within ${options.within} (${told ?? "nothing is known of them"}). Those that are not: kubectl -n ${namespace} get pods -o wide | grep ${daemonset}`,
  );
  return 1;
}

const daemonSet = z.object({
  metadata: z.object({ generation: z.number() }),
  status: z.object({
    observedGeneration: z.number().default(0),
    desiredNumberScheduled: z.number(),
    numberReady: z.number(),
  }),
});

function statusOf(text: string): { ready: number; desired: number; isDone: boolean } {
  const { metadata, status } = daemonSet.parse(JSON.parse(text));
  const { desiredNumberScheduled: desired, numberReady: ready } = status;
  // Until its controller has seen it, a DaemonSet says that it is for no node.
  const isSeen = status.observedGeneration >= metadata.generation;
  return { ready, desired, isDone: isSeen && ready >= desired };
}

/** @throws UsageError if it is not said how to reach the cluster */
function openApi({ kubeconfig }: AwaitOptions): ApiClient {
  const problems: string[] = [];
  const settings = readKubernetes(kubeconfig === undefined ? null : { kubeconfig }, {
    env: process.env,
    folder: process.cwd(),
    readFile: (path) => readFileSync(path, "utf8"),
    report: (_, message) => problems.push(message),
  });
  if (settings) return new ApiClient(settings.access);
  throw new UsageError(`the cluster cannot be asked: ${problems.join("; ")}`);
}
