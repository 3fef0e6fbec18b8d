import { accessMode } from "../config/access/access-settings.ts";
import { matchesAny } from "../config/parsing/glob-pattern.ts";
import type { UpstreamSettings } from "../config/settings.ts";

/**
 * Whether the upstream's settings allow a repository to anybody: it matches `allow`, if set, and not `deny`,
 * and its access is not `denied`.
 */
export function isAllowed({ allow, deny, access }: UpstreamSettings, repository: string): boolean {
  if (accessMode(access, repository) === "denied") return false;
  if (allow && !matchesAny(allow, repository)) return false;
  return !matchesAny(deny, repository);
}
