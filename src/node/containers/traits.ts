/** A version of Podman or CRI-O. */
export interface EngineVersion {
  readonly major: number;
  readonly minor: number;
  /** As the program or the package reports it: `4.3.1`, `5.4.2+ds1`. */
  readonly text: string;
}

/** Parses `podman version 4.3.1` and `1.34.0`. Undefined without two numbers. */
export function parseEngineVersion(text: string): EngineVersion | undefined {
  const match = /(\d+)\.(\d+)\S*/.exec(text);
  if (!match) return undefined;
  const [version, major, minor] = match;
  return { major: Number(major), minor: Number(minor), text: version };
}

/** How versions differ. All other code checks these flags and never compares versions. */
export interface Traits {
  /** It reads /etc/containers/registries.conf.d. */
  readonly readsDropIns: boolean;
  /** Each mirror may have a `pull-from-mirror` of its own. */
  readonly knowsPullFromMirror: boolean;
}

/** From tests on Podman 4.3.1, and for the others from their release notes. */
export function traitsOf(engine: "podman" | "cri-o", { major, minor }: EngineVersion): Traits {
  const since = (from: number, fromMinor: number): boolean =>
    major > from || (major === from && minor >= fromMinor);
  return engine === "podman"
    ? { readsDropIns: since(2, 1), knowsPullFromMirror: since(4, 2) }
    : { readsDropIns: since(1, 20), knowsPullFromMirror: since(1, 25) };
}
