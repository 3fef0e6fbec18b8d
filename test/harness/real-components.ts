import { test } from "bun:test";
import { missingPackages, unavailableReason } from "../../scripts/debian.mjs";

export interface RealComponents {
  /** Whether containerd, docker-registry, skopeo and the others can be started on this machine. */
  readonly available: boolean;
  /** Why they are not available. */
  readonly reason?: string;
}

/** As scripts/test.mjs determined it; without that script, depending on the installed packages. */
export const real = detectRealComponents();

function detectRealComponents(): RealComponents {
  if (process.env["ENTREPOT_REAL"] === "1") return { available: true };
  const reason = unavailableReason();
  if (reason !== undefined) return { available: false, reason };
  const missing = missingPackages();
  if (missing.length === 0) return { available: true };
  return {
    available: false,
    reason: `not installed: ${missing.join(", ")} (npm test installs them)`,
  };
}

/**
 * A test that needs real components. If they are not available, it is skipped with the reason in
 * its name.
 */
export function realTest(name: string, run: () => Promise<void> | void, timeout = 60_000): void {
  if (real.available) test(name, run, timeout);
  else test.skip(`${name} [no real components: ${real.reason}]`, run, timeout);
}
