import type { RegistryTransportOptions } from "../../upstream/registry-transport.ts";
import type { EffectiveConfiguration, Reload } from "./live-settings.ts";

/** How the settings of a running cache change. */
export interface LiveConfiguration {
  /** The current credentials of an upstream. */
  readonly reread?: RegistryTransportOptions["reread"];
  /** Reads all files again, and says what came of it. */
  readonly reload: () => Reload;
  /** What is in effect, and where it comes from. */
  readonly configuration: () => EffectiveConfiguration;
}

/** Settings that never change. */
export const FIXED: LiveConfiguration = {
  reload: () => ({ changes: [], needsRestart: [], problems: [] }),
  configuration: () => ({ keys: [], upstreamDefaults: [], needsRestart: [], problems: [] }),
};
