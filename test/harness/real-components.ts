import { test } from "bun:test";
import { missingPackages, unavailableReason } from "../../scripts/debian.mjs";

export interface RealParts {
  /** Whether Debian's containerd, docker-registry, skopeo and the others can be started here. */
  readonly available: boolean;
  /** Why not. */
  readonly reason?: string;
}

/** What scripts/test.mjs found out, and where tests are run without it, what is installed. */
export const real = realParts();

function realParts(): RealParts {
  if (process.env["ENTREPOT_REAL"] === "1") return { available: true };
  const hindrance = unavailableReason();
  if (hindrance !== undefined) return { available: false, reason: hindrance };
  const missing = missingPackages();
  if (missing.length === 0) return { available: true };
  return {
    available: false,
    reason: `not installed: ${missing.join(", ")} (npm test installs them)`,
  };
}

/** A test with real components. Where there are none it is counted as skipped, with the reason. */
export function realTest(name: string, run: () => Promise<void> | void, timeout = 60_000): void {
  if (real.available) test(name, run, timeout);
  else test.skip(`${name} [no real components: ${real.reason}]`, run, timeout);
}
