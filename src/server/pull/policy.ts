import { matchesAny } from "../../config/parsing/glob-pattern.ts";
import type { UpstreamSettings } from "../../config/settings.ts";

/** Whether the owner lets a repository be served: it is on the list, if there is one, and not denied. */
export function isAllowed({ allow, deny }: UpstreamSettings, repository: string): boolean {
  if (allow && !matchesAny(allow, repository)) return false;
  return !matchesAny(deny, repository);
}
