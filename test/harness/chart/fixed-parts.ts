import type { Manifest } from "../pods/helm.ts";

/** What may be changed in a StatefulSet that exists: of anything else, the API server refuses the update. */
const MUTABLE: ReadonlySet<string> = new Set([
  "replicas",
  "ordinals",
  "template",
  "updateStrategy",
  "revisionHistoryLimit",
  "persistentVolumeClaimRetentionPolicy",
  "minReadySeconds",
]);

/** Of workloads, what cannot be changed. Those of hooks are made anew each time. */
export function fixedParts(manifests: readonly Manifest[]): [string, object][] {
  return manifests
    .filter(({ kind }) => kind === "StatefulSet" || kind === "DaemonSet")
    .filter(({ metadata }) => !JSON.stringify(metadata).includes("helm.sh/hook"))
    .map((manifest): [string, object] => {
      const parts = Object.entries(Object(manifest["spec"])).filter(([key]) => !MUTABLE.has(key));
      return [`${manifest.kind}/${manifest.metadata.name}`, Object.fromEntries(parts)];
    })
    .toSorted(([one], [other]) => one.localeCompare(other));
}
