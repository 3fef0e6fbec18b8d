/** A version of containerd, without pre-release and build parts. */
export interface ContainerdVersion {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
  /** As the daemon or the package reports it, without a leading `v`: `1.6.20~ds1`, `2.1.9+unknown`. */
  readonly text: string;
}

/**
 * Parses `1.6.20~ds1`, `v2.1.9` and `containerd github.com/… 1.7.24~ds1 …`. Undefined without a version
 * of three numbers.
 */
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

/** How versions of containerd differ. All other code checks these flags and never compares versions. */
export interface Traits {
  /** The highest `version =` of config.toml that it supports. */
  readonly newestConfigVersion: number;
  /** A newer `version =` stops the daemon. 1.6 starts instead, and ignores the settings. */
  readonly exitsOnNewerConfig: boolean;
  /** An imported file replaces a plugin's whole table (containerd#5837) instead of being merged deeply. */
  readonly importsReplaceTables: boolean;
  /** A relative glob in `imports` is resolved in the daemon's working directory (1.x). */
  readonly relativeGlobsFromWorkingDirectory: boolean;
  /**
   * An imported file with a higher version than the root file stops the daemon (2.3). 2.0 to 2.2 start
   * instead, and lose the root file's CRI settings.
   */
  readonly exitsOnNewerImport: boolean;
  /**
   * Each file is moved to the newest version by itself (2.3), also one without a version or of version 1.
   * 2.0 to 2.2 move the merged files, and lose the registry of such a file.
   */
  readonly migratesEachFile: boolean;
  /** Keys are read in any case, except the names of plugins and hosts. 1.x also reads capitals. */
  readonly foldsKeys: boolean;
  /** CRI's registry settings are in the table io.containerd.cri.v1.images. */
  readonly imagesTable: boolean;
  /** `configs.*.tls` is an unknown key and ignored. */
  readonly dropsConfigsTls: boolean;
  /** A config_path of several directories is not split (containerd#12808): none of them is read. */
  readonly colonPathBroken: boolean;
  /** config_path if nothing sets it. */
  readonly defaultConfigPath: string;
  /** Only `[host."URL"]` headers are read (getSortedHosts): hosts in inline or dotted form are ignored. */
  readonly dropsInlineHosts: boolean;
  /** A hosts.toml without any `[host]` is valid; before, it is an error (containerd#10027). */
  readonly readsServerOnly: boolean;
  /** A byte order mark and invalid UTF-8 are accepted in every file; from 2.0 on they are an error. */
  readonly acceptsBadEncoding: boolean;
  /** `referrers` is a known capability; before, the whole file is an error. */
  readonly knowsReferrers: boolean;
  /** `dial_timeout` of hosts.toml has an effect; before, it is ignored. */
  readonly readsDialTimeout: boolean;
  /** The `_default` directory is read. */
  readonly readsDefaultDirectory: boolean;
  /** `http://` with `ca`, `client` or `skip_verify` tries HTTPS first (containerd#10014). */
  readonly httpWithTlsTriesHttps: boolean;
  /** Seconds for which it waits for a mirror's response headers; undefined: without limit. */
  readonly responseTimeout: number | undefined;
  /** CRI does not start with `[…registry.mirrors]`, even without config_path (2.2.0 and 2.2.1). */
  readonly breaksOnMirrors: boolean;
}

/** From tests on 1.6.20, 1.7.24, 2.1.9, 2.2.7 and 2.3.4, and from containerd's release notes. */
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
    migratesEachFile: since(2, 3),
    foldsKeys: since(2, 0),
    imagesTable: since(2, 0),
    dropsConfigsTls: since(2, 0),
    colonPathBroken: since(2, 1),
    defaultConfigPath: since(2, 2) ? "/etc/containerd/certs.d:/etc/docker/certs.d" : "",
    dropsInlineHosts: since(2, 0),
    readsServerOnly: since(2, 0) || (isLine(1, 7) && version.patch >= 32),
    acceptsBadEncoding: !since(2, 0),
    knowsReferrers: since(2, 2),
    readsDialTimeout: since(2, 1) || (isLine(2, 0) && version.patch >= 7),
    readsDefaultDirectory: since(1, 7, 24) || (isLine(1, 6) && version.patch >= 17),
    httpWithTlsTriesHttps:
      since(2, 0) || (isLine(1, 7) && version.patch >= 16) || (isLine(1, 6) && version.patch >= 32),
    responseTimeout: since(2, 3) ? 30 : undefined,
    breaksOnMirrors: isLine(2, 2) && version.patch <= 1,
  };
}

/** From 1.6 on. 1.5 has hosts directories too, but lacks fields that are needed here. */
export function isSupported(version: ContainerdVersion): boolean {
  return compare(version, 1, 6, 0) >= 0;
}

function compare(version: ContainerdVersion, major: number, minor: number, patch: number): number {
  return version.major - major || version.minor - minor || version.patch - patch;
}
