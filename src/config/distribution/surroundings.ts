import type { Origin } from "../foreign/imported-config.ts";
import type { Setting } from "./setting.ts";

/** A variable for proxies or certificates, by its name. */
export interface EnvironmentSetting extends Setting {
  readonly name: string;
}

/** A file with CA certificates that a registry trusts. */
export interface TrustedFile {
  /** The path on the host; undefined if it is not known. */
  readonly file: string | undefined;
  /** The directory in the container that all files of a mount go to, if it is one. */
  readonly isFolder: boolean;
  readonly from: Origin;
}

/** What a registry's requests to its upstream depend on, apart from its settings. */
export interface Surroundings {
  /** HTTP_PROXY, HTTPS_PROXY, NO_PROXY and ALL_PROXY, in upper or lower case. */
  readonly proxy: readonly EnvironmentSetting[];
  /** Those of them whose values are not known. */
  readonly unknownProxy: readonly Origin[];
  readonly certificates: readonly TrustedFile[];
  /** `HOST:ADDRESS` each. */
  readonly hosts: readonly Setting[];
  readonly nameServers: readonly Setting[];
}
