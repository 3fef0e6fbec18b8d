import type { Format, ImportContext } from "../distribution/format.ts";
import type { RegistrySettings, Setting } from "../distribution/registry-settings.ts";
import type { ForeignFile } from "../foreign/foreign-file.ts";
import { Secrets } from "../foreign/secrets.ts";
import { quote } from "../parsing/problems.ts";
import { objectsIn } from "./manifest-object.ts";
import { isRelease, readRelease, RELEASE_KINDS } from "./releases.ts";
import { StoredValues } from "./stored-values.ts";
import { isWorkload, readWorkload, WORKLOAD_KINDS } from "./workloads.ts";

/** Kinds of objects that say more about pods, or that come with them. */
const COMPANIONS = new Set([
  "ConfigMap",
  "Secret",
  "Service",
  "Ingress",
  "Namespace",
  "PersistentVolume",
  "PersistentVolumeClaim",
  "ServiceAccount",
]);

/** Manifests of Kubernetes: workloads, with the Services, ConfigMaps and Secrets in all imported files. */
export const kubernetes: Format = {
  title: "a Kubernetes manifest",
  matches: ({ documents }) => documents.some(({ value }) => isManifest(value)),
  read: (files, context) => readManifests(files, context),
};

function isManifest(value: unknown): boolean {
  return typeof value === "object" && value !== null && ("apiVersion" in value || "kind" in value);
}

/** @param network how `podman kube play` puts the pods on the network */
export function readManifests(
  files: readonly ForeignFile[],
  context: ImportContext,
  network: {
    readonly published?: readonly Setting[];
    readonly isOnHostNetwork?: boolean;
  } = {},
): RegistrySettings[] {
  const { imported, secrets } = context;
  const objects = objectsIn(files);
  const stored = new StoredValues(objects, new Secrets(secrets));
  const countBefore = imported.problems.length;
  const cluster = { objects, stored, context, ...network };
  const found = objects.flatMap((object) => {
    if (isWorkload(object)) return readWorkload(object, cluster);
    return isRelease(object) ? readRelease(object, cluster) : [];
  });
  for (const { name, origin } of stored.unusedConfigurations()) {
    const message = `the ConfigMap ${quote(name)} has the configuration of a registry, and no container here mounts it: import the manifest of that container as well, or leave it out`;
    imported.reject(origin(["data"], "data"), message);
  }
  if (found.length > 0 || imported.problems.length > countBefore) return found;
  const unknown = objects.find(
    (object) => !isWorkload(object) && !isRelease(object) && !COMPANIONS.has(object.kind),
  );
  const kinds = `${[...WORKLOAD_KINDS, ...RELEASE_KINDS].join(", ")} or List, or a manifest of Gardener`;
  if (unknown) {
    const what = unknown.kind === "" ? "is missing" : `${quote(unknown.kind)} is not supported`;
    imported.reject(unknown.origin(["kind"], "kind"), `${what}: use ${kinds}`);
  } else {
    const [first] = objects;
    const message = "no container has the image registry:2 or registry:3";
    if (first) imported.reject(first.origin([], ""), message);
  }
  return [];
}
