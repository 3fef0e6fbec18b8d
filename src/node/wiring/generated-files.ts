import type { JournalDocument } from "../journal.ts";
import { fromStored, toStored } from "../journal.ts";
import type { NodeContext } from "../node-context.ts";
import type { Plan } from "../plan.ts";
import { sameState } from "../plan.ts";

/** What an apply records of the files that the runtime has made of the ones that were written. */
export async function generatedFiles(
  { runtime, files, filesOnly }: NodeContext,
  plan: Plan,
): Promise<Pick<JournalDocument, "generated">> {
  if (filesOnly || runtime.generated === undefined) return {};
  const generated = Object.entries(await runtime.generated(files, plan)).map(
    ([path, { wired, withoutCache }]) => [
      path,
      { wired: toStored(wired), withoutCache: toStored(withoutCache) },
    ],
  );
  return { generated: Object.fromEntries(generated) };
}

export interface SwitchedFiles {
  readonly changed: number;
  /** Files that the runtime has made anew since, or that somebody edited. */
  readonly others: readonly string[];
}

/**
 * Takes the cache out of generated files, or puts it back, until the runtime makes them anew.
 *
 * @throws FilesFault
 */
export function switchGenerated(
  { files, durable }: NodeContext,
  { generated = {} }: JournalDocument,
  to: "wired" | "withoutCache",
): SwitchedFiles {
  let changed = 0;
  const others: string[] = [];
  for (const [path, entry] of Object.entries(generated)) {
    const current = files.read(path);
    const next = fromStored(entry[to]);
    if (next === undefined || sameState(current, next)) continue;
    const former = fromStored(to === "wired" ? entry.withoutCache : entry.wired);
    if (!sameState(current, former)) {
      others.push(path);
      continue;
    }
    durable.removeTemporaryFiles(path);
    durable.write(path, next);
    changed += 1;
  }
  return { changed, others };
}
