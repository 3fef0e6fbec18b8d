import type { RepositoryName } from "../oci/names.ts";
import type { Host } from "./hosts.ts";

/** The URL of a request at a host. Repository, tag and digest were validated: nothing needs escaping. */
export function urlAt(
  host: Pick<Host, "settings" | "overridePath">,
  {
    repository,
    path,
    query = {},
  }: {
    readonly repository: RepositoryName;
    /** Relative to the repository. */
    readonly path: string;
    readonly query?: Readonly<Record<string, string>>;
  },
): URL {
  const url = new URL(host.settings.url);
  const base = url.pathname.replace(/\/+$/, "");
  url.pathname = `${base}${host.overridePath ? "" : "/v2"}/${repository}/${path}`;
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  return url;
}
