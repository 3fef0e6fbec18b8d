import type { FileView } from "./files/node-files.ts";
import { newFile } from "./files/node-files.ts";
import type { DesiredState, Obstacle, Target } from "./plan.ts";
import { sameState } from "./plan.ts";

/**
 * The file with the CA of the cache's certificate, which has to be written before every file that sends
 * pulls to the cache: without it, none of them succeeds. Empty if the system trusts the cache.
 *
 * @param path where the runtime, or what it reads, expects it
 */
export function cacheCaTargets(
  view: FileView,
  path: string,
  desired: DesiredState,
): { readonly targets: Target[]; readonly obstacles: Obstacle[] } {
  if (desired.cacheCa === undefined) return { targets: [], obstacles: [] };
  const after = newFile(desired.cacheCa);
  const why = "the CA certificate of the cache";
  const targets: Target[] = [{ path, kind: "copy", after, withoutCache: after, why }];
  const present = view.read(path);
  if (present === undefined || sameState(present, after) || desired.adopt)
    return { targets, obstacles: [] };
  const what = `${path} exists with another content`;
  const advice = "use --adopt to replace it (rollback restores it), or move it away";
  return { targets, obstacles: [{ code: "foreign-ca", at: { file: path }, what, advice }] };
}
