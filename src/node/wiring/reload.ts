import type { NodeContext } from "../node-context.ts";
import type { Change } from "../plan.ts";
import { sameState } from "../plan.ts";

/**
 * Has the runtime take over changed mirror files, if it does not read them at every pull.
 *
 * @throws RuntimeFault of kind `reload-failed`
 */
export async function reloadMirrors({ filesOnly, runtime }: NodeContext): Promise<void> {
  if (!filesOnly) await runtime.control.reload?.();
}

/**
 * Mirror files that name the cache, in their form without it, for a runtime that has to reload them. It
 * may keep a setting that is gone from a file, as Docker does with its mirrors. So this form, which sets
 * them to nothing, is loaded before the original is written.
 */
export function withdrawnForms(
  context: NodeContext,
  files: readonly Pick<Change, "path" | "kind" | "after" | "withoutCache">[],
): Pick<Change, "path" | "kind" | "after">[] {
  if (context.filesOnly || context.runtime.control.reload === undefined) return [];
  return files
    .filter(({ kind, path, after, withoutCache }) => {
      return (
        kind === "hosts" &&
        withoutCache !== undefined &&
        sameState(context.files.read(path), after) &&
        !sameState(after, withoutCache)
      );
    })
    .map(({ path, kind, withoutCache }) => ({ path, kind, after: withoutCache }));
}
