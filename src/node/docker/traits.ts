import type { Traits as HostsTraits } from "../containerd/traits.ts";
import { parseContainerdVersion, traitsOf as hostsTraitsOf } from "../containerd/traits.ts";

/** A version of Docker Engine. */
export interface DockerVersion {
  readonly major: number;
  readonly minor: number;
  /** As the daemon or the package reports it: `28.5.2+dfsg4`, `20.10.24+dfsg1`. */
  readonly text: string;
}

/** Parses `28.5.2+dfsg4` and `5:27.3.1-1~debian.12~bookworm`. Undefined without three numbers. */
export function parseDockerVersion(text: string): DockerVersion | undefined {
  const match = /(\d+)\.(\d+)\.(\d+\S*)/.exec(text);
  if (!match) return undefined;
  const [version, major, minor] = match;
  return { major: Number(major), minor: Number(minor), text: version };
}

/** How versions of Docker differ. All other code checks these flags and never compares versions. */
export interface Traits {
  /**
   * With the containerd image store, `/etc/docker/certs.d/<registry>/hosts.toml` is read at every pull,
   * for every registry. Before, only `registry-mirrors` is.
   */
  readonly readsHostsDirectories: boolean;
  /** The containerd image store is that of a fresh installation, unless daemon.json says otherwise. */
  readonly containerdStoreByDefault: boolean;
  /** How the containerd library inside reads hosts.toml. */
  readonly hosts: HostsTraits;
}

/** From tests on 20.10.24, 26.1.5 and 28.5.2; for 29 from moby's source and release notes. */
export function traitsOf({ major }: DockerVersion): Traits {
  // vendor.mod of moby: 28 has containerd 1.7, 29 has containerd 2.
  const library = parseContainerdVersion(major >= 29 ? "2.1.0" : "1.7.25");
  if (library === undefined) throw new Error("a constant version is valid");
  return {
    readsHostsDirectories: major >= 28,
    containerdStoreByDefault: major >= 29,
    hosts: hostsTraitsOf(library),
  };
}
