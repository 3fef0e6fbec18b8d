import { parseAddress } from "../parsing/address.ts";
import type { Path } from "../parsing/yaml-source.ts";
import { type FileContext, readCaBundle } from "../upstreams/certificates.ts";
import { readKubeconfig } from "./kubeconfig.ts";
import { DEFAULT_KEEP_DAYS, type KubernetesEntry } from "../kubernetes-api/kubernetes-schema.ts";
import type { ClusterAccess, KubernetesSettings } from "../kubernetes-api/kubernetes-settings.ts";

/** Where Kubernetes puts the token and the CA certificates of a pod's service account. */
const SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";

export interface KubernetesContext extends FileContext {
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Reads `kubernetes` of the configuration. Problems are reported. */
export function readKubernetes(
  entry: KubernetesEntry | null | undefined,
  context: KubernetesContext,
): KubernetesSettings | undefined {
  if (entry === undefined) return undefined;
  const { kubeconfig, context: wanted, namespaces, keep } = entry ?? {};
  const at = ["kubernetes", "kubeconfig"];
  if (kubeconfig === undefined && wanted !== undefined) {
    const message = "is a context of kubeconfig: set kubeconfig as well";
    context.report(["kubernetes", "context"], message, "key");
  }
  const access =
    kubeconfig === undefined
      ? readServiceAccount(["kubernetes"], context)
      : readKubeconfig(kubeconfig, { at, context: wanted }, context);
  if (!access) return undefined;
  const days = keep === "cluster" ? DEFAULT_KEEP_DAYS : keep?.days;
  return {
    access,
    ...(namespaces ? { namespaces: [...new Set(namespaces)].toSorted() } : {}),
    ...(days === undefined ? {} : { keep: { days } }),
  };
}

/** What Kubernetes tells each of its pods (kubernetes.io/docs/tasks/run-application/access-api-from-pod). */
function readServiceAccount(at: Path, context: KubernetesContext): ClusterAccess | undefined {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port = "443" } = context.env;
  if (!host) {
    const message =
      "needs kubeconfig, since this cache does not run in a pod (KUBERNETES_SERVICE_HOST is not set)";
    context.report(at, message, "key");
    return undefined;
  }
  const address = parseAddress(`${host.includes(":") ? `[${host}]` : host}:${port}`, "");
  const server = address && URL.parse(`https://${host.includes(":") ? `[${host}]` : host}:${port}`);
  if (!server) {
    const message = "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not an address";
    context.report(at, message, "key");
    return undefined;
  }
  const ca = readCaBundle(at, `${SERVICE_ACCOUNT}/ca.crt`, context);
  if (ca === undefined) return undefined;
  const credentials = { kind: "token-file", file: `${SERVICE_ACCOUNT}/token` } as const;
  return { server, ca, isInsecure: false, credentials };
}
