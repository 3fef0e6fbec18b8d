import type {
  ClusterAccess,
  ClusterCredentials,
} from "../../../src/config/kubernetes-api/kubernetes-settings.ts";
import {
  WatchedCluster,
  type WatchedClusterOptions,
} from "../../../src/kubernetes/watched-cluster.ts";
import { podSpec } from "./api-writer.ts";
import type { KubernetesApi } from "./kubernetes-api.ts";

export const QUICK: WatchedClusterOptions = { firstPause: 5, longestPause: 20, settle: 5 };

/** Access to an API with its token, unless other credentials are given. */
export function accessTo(api: KubernetesApi, credentials?: ClusterCredentials): ClusterAccess {
  const token = { kind: "token", token: api.token } as const;
  return { server: api.url, ca: api.ca, isInsecure: false, credentials: credentials ?? token };
}

/** Watches one namespace, with short pauses. */
export function openCluster(
  api: KubernetesApi,
  namespace: string,
  options: WatchedClusterOptions = {},
): WatchedCluster {
  const settings = { access: accessTo(api), namespaces: [namespace] };
  return new WatchedCluster(settings, { ...QUICK, ...options });
}

export function putPod(api: KubernetesApi, namespace: string, name: string, image: string): void {
  api.store.put("pods", { metadata: { name, namespace }, spec: podSpec(image) });
}

/** The requests of one namespace's pods, without those before. */
export function podRequests(api: KubernetesApi, namespace: string): () => readonly string[] {
  const before = api.requests.length;
  return () =>
    api.requests
      .slice(before)
      .filter(({ path }) => path === `/api/v1/namespaces/${namespace}/pods`)
      .map(({ query }) => (query["watch"] ? `watch from ${query["resourceVersion"]}` : "list"));
}
