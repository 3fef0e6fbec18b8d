import type { ContainerdLine } from "../../scripts/components/debian.mjs";
import type { NodePaths } from "./supervised.ts";
import { baseConfig } from "./supervised.ts";

/** The registries of the tests, as image references name them. */
export interface Registries {
  /** Plain HTTP on loopback. The cache serves it. */
  readonly cached: string;
  /** HTTPS with a private CA, on an address of this machine. The cache does not serve it. */
  readonly secured: string;
  /** PEM of that CA. */
  readonly caCertificate: string;
  readonly credentials: { readonly username: string; readonly password: string };
}

export interface StartingPoint {
  readonly name: string;
  /** The containerd release lines for which it exists. All if absent. */
  readonly lines?: readonly ContainerdLine[];
  /** The files below /etc/containerd, including config.toml. */
  readonly files: (
    paths: NodePaths,
    registries: Registries,
    line: ContainerdLine,
  ) => Record<string, string>;
  /** Codes of the findings that check has to report on this release line. */
  readonly finds: (line: ContainerdLine) => readonly string[];
  /** Options of plan and apply, in addition to the cache. */
  readonly options?: readonly string[];
  /** The message that blocks the plan without those options. */
  readonly blockedWithout?: string;
  /** Codes of the findings that remain after the apply, because the tool must not fix them. */
  readonly remains?: (line: ContainerdLine) => readonly string[];
  readonly criIsDead?: true;
  /** Whether pulls from the secured registry have to work after the apply. */
  readonly pullsSecured?: true;
}

export const cri = `plugins."io.containerd.grpc.v1.cri"`;

export const onHosts = (paths: NodePaths): string =>
  `${baseConfig(paths)}  [${cri}.registry]\n    config_path = "${paths.certs}" # written by hand\n`;

export const own = (registry: string): string => `certs.d/${registry}/hosts.toml`;
export const host = `[host."http://127.0.0.1:1"]\n  capabilities = ["pull", "resolve"]\n`;
export const isNew = (line: ContainerdLine): boolean => line === "2.1";
