import type { ContainerdLine } from "../../scripts/debian.mjs";
import type { NodePlaces } from "./supervised.ts";
import { baseConfig } from "./supervised.ts";

/** Registries of the test network, as images name them. */
export interface Registries {
  /** Plain http on loopback; the cache serves it. */
  readonly cached: string;
  /** https on an address of this machine with an authority of its own; not cached. */
  readonly secured: string;
  /** PEM of that authority. */
  readonly authority: string;
  readonly credentials: { readonly username: string; readonly password: string };
}

export interface StartingPoint {
  readonly name: string;
  readonly lines?: readonly ContainerdLine[];
  /** Files below /etc/containerd; config.toml among them. */
  readonly files: (
    places: NodePlaces,
    registries: Registries,
    line: ContainerdLine,
  ) => Record<string, string>;
  /** Codes that check has to find on this line. */
  readonly finds: (line: ContainerdLine) => readonly string[];
  /** Options of plan and apply besides the cache. */
  readonly options?: readonly string[];
  /** Without those options the plan is stopped for this reason. */
  readonly stopsWithout?: string;
  /** Codes that stay after the apply, since they are nobody's to change. */
  readonly keeps?: (line: ContainerdLine) => readonly string[];
  readonly criIsDead?: true;
  /** Pulls of the secured registry have to work after the apply. */
  readonly pullsSecured?: true;
}

export const cri = `plugins."io.containerd.grpc.v1.cri"`;

export const onHosts = (places: NodePlaces): string =>
  `${baseConfig(places)}  [${cri}.registry]\n    config_path = "${places.certs}" # by hand\n`;

export const own = (registry: string): string => `certs.d/${registry}/hosts.toml`;
export const host = `[host."http://127.0.0.1:1"]\n  capabilities = ["pull", "resolve"]\n`;
export const isNew = (line: ContainerdLine): boolean => line === "2.1";
