/** A resource that a path names. */
export interface Resource {
  readonly apiVersion: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespace?: string;
  readonly name?: string;
  readonly isStatus: boolean;
}

/** The resources of each version of an API. */
export const RESOURCES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  v1: {
    pods: "Pod",
    nodes: "Node",
    namespaces: "Namespace",
    configmaps: "ConfigMap",
    secrets: "Secret",
    serviceaccounts: "ServiceAccount",
    services: "Service",
  },
  "apps/v1": {
    deployments: "Deployment",
    statefulsets: "StatefulSet",
    daemonsets: "DaemonSet",
    replicasets: "ReplicaSet",
  },
  "policy/v1": { poddisruptionbudgets: "PodDisruptionBudget" },
  "batch/v1": { jobs: "Job", cronjobs: "CronJob" },
};

/** Those that are in no namespace. */
export const CLUSTER_SCOPED: ReadonlySet<string> = new Set(["nodes", "namespaces"]);

/** `/apis/apps/v1/namespaces/shop/deployments/web/status`. */
export function resourceAt(path: string): Resource | undefined {
  const match =
    /^\/(?:api\/(v1)|apis\/([a-z]+\/v1))(?:\/namespaces\/([^/]+)(?=\/))?\/([a-z]+)(?:\/([^/]+))?(\/status)?$/.exec(
      path,
    );
  if (!match) return undefined;
  const [, core, group, namespace, plural = "", name, status] = match;
  const apiVersion = core ?? group ?? "";
  const kind = RESOURCES[apiVersion]?.[plural];
  if (kind === undefined) return undefined;
  return {
    apiVersion,
    plural,
    kind,
    isStatus: status !== undefined,
    ...(namespace === undefined ? {} : { namespace }),
    ...(name === undefined ? {} : { name }),
  };
}
