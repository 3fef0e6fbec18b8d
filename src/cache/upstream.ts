import { matchesAny } from "../config/parsing/glob-pattern.ts";
import type { UpstreamSettings } from "../config/settings.ts";
import type { RepositoryRef } from "../store/metadata-store.ts";
import type { Registry } from "../upstream/registry.ts";

/** A configured upstream: what the owner says of it now, and the registry itself. */
export interface Upstream {
  readonly settings: UpstreamSettings;
  readonly registry: Registry;
}

/** Whether the owner wants what is in a repository passed through and never stored. */
export function isBypassed({ settings }: Upstream, { repository }: RepositoryRef): boolean {
  return matchesAny(settings.bypass, repository);
}
