import type { AccessSettings } from "../../config/access/access-settings.ts";
import type { UpstreamSettings } from "../../config/settings.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import type { Registry } from "../../upstream/registry.ts";

/** A repository whose content somebody asks for. */
export interface AskedPlace {
  readonly upstream: { readonly settings: UpstreamSettings; readonly registry: Registry };
  readonly repo: RepositoryRef;
  readonly access: AccessSettings;
}

export function placeKey({ upstream, repository }: RepositoryRef): string {
  return `${upstream}/${repository}`;
}
