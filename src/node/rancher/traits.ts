import type { ContainerdVersion, Traits as HostsTraits } from "../containerd/traits.ts";
import { parseContainerdVersion, traitsOf as hostsTraitsOf } from "../containerd/traits.ts";

/** How versions differ. All other code checks these flags and never compares versions. */
export interface Traits {
  /** How the containerd inside reads the hosts.toml files that are generated for it. */
  readonly hosts: HostsTraits;
}

/** @param version of the containerd inside; undefined if it cannot be asked, as for files alone */
export function traitsOf(version: ContainerdVersion | undefined): Traits {
  const assumed = version ?? parseContainerdVersion("2.1.0");
  if (assumed === undefined) throw new Error("a constant version is valid");
  return { hosts: hostsTraitsOf(assumed) };
}
