import type { Digest } from "../../oci/digest.ts";
import { recordUnrecorded } from "../../store/repair/unrecorded-blobs.ts";
import type { Storage } from "./storage.ts";

/** What is counted by. */
type Counted = Pick<
  Storage,
  | "path"
  | "blobs"
  | "metadata"
  | "sidecars"
  | "budget"
  | "evictor"
  | "admin"
  | "rebuildState"
  | "wasShutDownCleanly"
>;

/**
 * Counts what an earlier process left and the metadata does not tell, and evicts what is too much by that: the
 * sidecar files, and after a crash the blobs whose record it prevented. It reads names only, so it ends long before
 * the repair that compares every file.
 *
 * @param inUse whether a blob is being stored
 * @returns how many blobs had no record
 */
export async function countAtStart(
  storage: Counted,
  inUse: (digest: Digest) => boolean,
  signal: AbortSignal,
): Promise<number> {
  const { path, blobs, metadata, sidecars, budget, evictor, admin, rebuildState } = storage;
  const mayRecord = rebuildState.finished === rebuildState.started && !budget.fullState.isFailing;
  await sidecars.count(signal);
  if (!mayRecord || storage.wasShutDownCleanly) return 0;
  const found = await recordUnrecorded(path, {
    store: blobs,
    metadata,
    sidecars,
    inUse,
    signal,
  });
  await admin.recount();
  await budget.measure();
  if (!signal.aborted && budget.level.isTight) await evictor.sweep();
  return found;
}
