import { matchesAny } from "../config/parsing/glob-pattern.ts";
import type { UpstreamSettings } from "../config/settings.ts";

/** Whether the upstream's settings allow a repository: it matches `allow`, if set, and not `deny`. */
export function isAllowed({ allow, deny }: UpstreamSettings, repository: string): boolean {
  if (allow && !matchesAny(allow, repository)) return false;
  return !matchesAny(deny, repository);
}
