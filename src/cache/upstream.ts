import { matchesAny } from "../config/parsing/glob-pattern.ts";
import type { UpstreamSettings } from "../config/settings.ts";
import type { RepositoryRef } from "../store/metadata-store.ts";
import type { Registry } from "../upstream/registry.ts";

/** A configured upstream: its current settings, and the client of its registry. */
export interface Upstream {
  readonly settings: UpstreamSettings;
  readonly registry: Registry;
}

/** Whether the configuration bypasses the cache for this repository: nothing of it is ever stored. */
export function isBypassed({ settings }: Upstream, { repository }: RepositoryRef): boolean {
  return matchesAny(settings.bypass, repository);
}
