/** A containerd's version, as far as its behaviour with registries depends on it. */
export interface ContainerdVersion {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
  /** As the daemon or the package wrote it: `1.6.20~ds1`, `v2.1.9+unknown`. */
  readonly text: string;
}

/** Reads `1.6.20~ds1`, `v2.1.9`, `containerd github.com/… 1.7.24~ds1 …`. */
export function parseContainerdVersion(text: string): ContainerdVersion | undefined {
  const match = /(?:^|[\sv])(\d+)\.(\d+)\.(\d+)(\S*)/.exec(text.trim());
  if (!match) return undefined;
  const [, major, minor, patch, rest] = match;
  return {
    major: Number(major),
    minor: Number(minor),
    patch: Number(patch),
    text: `${major}.${minor}.${patch}${rest}`,
  };
}

/** What a containerd does and does not; the code asks for these and never for a version. */
export interface Traits {
  /** The newest `version =` of config.toml that it reads. */
  readonly newestConfigVersion: number;
  /** Whether a newer `version =` stops the daemon (else it starts and ignores the settings: 1.6). */
  readonly exitsOnNewerConfig: boolean;
  /** An imported file replaces a plugin's whole table (containerd#5837); else it merges deeply. */
  readonly importsReplaceTables: boolean;
  /** A relative glob in `imports` is taken from the daemon's working directory (1.x). */
  readonly relativeGlobsFromWorkingDirectory: boolean;
  /** An imported file of a higher version stops the daemon (2.3); else root's CRI settings get lost. */
  readonly exitsOnNewerImport: boolean;
  /** CRI's registry settings live in io.containerd.cri.v1.images. */
  readonly imagesTable: boolean;
  /** `configs.*.tls` is an unknown key and dropped without effect. */
  readonly dropsConfigsTls: boolean;
  /** A config_path of several directories is passed on unsplit (containerd#12808): none is read. */
  readonly colonPathBroken: boolean;
  /** config_path where nothing sets it. */
  readonly defaultConfigPath: string;
  /** Only `[host."URL"]` table headers are read (getSortedHosts); inline and dotted hosts vanish. */
  readonly dropsInlineHosts: boolean;
  /** A hosts.toml without any `[host]` is read; else it is an error (containerd#10027). */
  readonly readsServerOnly: boolean;
  /** A byte order mark, and bytes that are no UTF-8, are read over in any file; else it is an error. */
  readonly readsOddBytes: boolean;
  /** `referrers` is a known capability; else the whole file is an error. */
  readonly knowsReferrers: boolean;
  readonly readsDialTimeout: boolean;
  /** The `_default` directory is looked at. */
  readonly readsDefaultDirectory: boolean;
  /** `http://` with `ca`, `client` or `skip_verify` tries HTTPS first (containerd#10014). */
  readonly httpWithTlsTriesHttps: boolean;
  /** How long it waits for a mirror's answer, in seconds; undefined where for ever. */
  readonly answerTimeout: number | undefined;
  /** `[…registry.mirrors]` alone keeps CRI from starting (2.2.0 and 2.2.1). */
  readonly breaksOnMirrors: boolean;
}

/** From notes of tests on 1.6.20, 1.7.24, 2.1.9, 2.2.7 and 2.3.4 and from containerd's change logs. */
export function traitsOf(version: ContainerdVersion): Traits {
  const since = (major: number, minor: number, patch = 0): boolean =>
    compare(version, major, minor, patch) >= 0;
  const isLine = (major: number, minor: number): boolean =>
    version.major === major && version.minor === minor;
  return {
    newestConfigVersion: since(2, 3) ? 4 : since(2, 0) ? 3 : 2,
    exitsOnNewerConfig: since(1, 7),
    importsReplaceTables: !since(2, 0),
    relativeGlobsFromWorkingDirectory: !since(2, 0),
    exitsOnNewerImport: since(2, 3),
    imagesTable: since(2, 0),
    dropsConfigsTls: since(2, 0),
    colonPathBroken: since(2, 1),
    defaultConfigPath: since(2, 2) ? "/etc/containerd/certs.d:/etc/docker/certs.d" : "",
    dropsInlineHosts: since(2, 0),
    readsServerOnly: since(2, 0) || (isLine(1, 7) && version.patch >= 32),
    readsOddBytes: !since(2, 0),
    knowsReferrers: since(2, 2),
    readsDialTimeout: since(2, 1) || (isLine(2, 0) && version.patch >= 7),
    readsDefaultDirectory: since(1, 7, 24) || (isLine(1, 6) && version.patch >= 17),
    httpWithTlsTriesHttps:
      since(2, 0) || (isLine(1, 7) && version.patch >= 16) || (isLine(1, 6) && version.patch >= 32),
    answerTimeout: since(2, 3) ? 30 : undefined,
    breaksOnMirrors: isLine(2, 2) && version.patch <= 1,
  };
}

/** Older ones have no hosts directories (1.5 has, without what is needed here). */
export function isSupported(version: ContainerdVersion): boolean {
  return compare(version, 1, 6, 0) >= 0;
}

function compare(version: ContainerdVersion, major: number, minor: number, patch: number): number {
  return version.major - major || version.minor - minor || version.patch - patch;
}
