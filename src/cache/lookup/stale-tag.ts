import type { TagRecord } from "../../store/metadata-store.ts";
import type { CacheStatus } from "../cache-status.ts";
import type { ResolvedTag } from "../results.ts";

/**
 * Where a tag pointed when it was last checked.
 *
 * @param asked what the registry has said of it
 */
export function staleTag(
  record: TagRecord,
  reason: string,
  asked: Pick<CacheStatus, "forwarded" | "upstreamStatus"> = {},
): ResolvedTag {
  return { digest: record.digest, cacheStatus: { result: "stale", reason, ...asked } };
}
