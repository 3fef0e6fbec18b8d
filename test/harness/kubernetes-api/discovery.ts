import { CLUSTER_SCOPED, RESOURCES } from "./resource-paths.ts";

/** What clients such as kubectl read first: which resources there are. */
export function discovery(path: string): object | undefined {
  if (path === "/version") return { major: "1", minor: "34", gitVersion: "v1.34.0" };
  if (path === "/api") return { kind: "APIVersions", versions: ["v1"] };
  if (path === "/apis") {
    const groups = Object.keys(RESOURCES).filter((version) => version.includes("/"));
    return { kind: "APIGroupList", apiVersion: "v1", groups: groups.map(groupOf) };
  }
  const version = /^\/apis?\/((?:[a-z]+\/)?v1)$/.exec(path)?.[1];
  const resources = version === undefined ? undefined : RESOURCES[version];
  if (!resources) return undefined;
  return {
    kind: "APIResourceList",
    apiVersion: "v1",
    groupVersion: version,
    resources: Object.entries(resources).map(([name, kind]) => ({
      name,
      singularName: kind.toLowerCase(),
      namespaced: !CLUSTER_SCOPED.has(name),
      kind,
      verbs: ["create", "delete", "get", "list", "update", "watch"],
    })),
  };
}

function groupOf(groupVersion: string): object {
  const [name, version] = groupVersion.split("/");
  const versions = [{ groupVersion, version }];
  return { name, versions, preferredVersion: versions[0] };
}
