import { test } from "bun:test";
import { missingPackages, unavailableReason } from "../../scripts/components/debian.mjs";
import { ensureUnpacked, type SuitePackages } from "../../scripts/components/debian-unpack.mjs";

/** Whether this is `npm run test:long`. */
export const isLong = process.env["ENTREPOT_LONG"] === "1";

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
  testIf(real, name, run, timeout);
}

/** Like `realTest`, for tests that wait more than they compute and share nothing: they run at once. */
export function concurrentRealTest(
  name: string,
  run: () => Promise<void> | void,
  timeout = 60_000,
): void {
  if (real.available) test.concurrent(name, run, timeout);
  else realTest(name, run, timeout);
}

/** Like `realTest`, for tests of `npm run test:long` alone. */
export function longRealTest(
  name: string,
  run: () => Promise<void> | void,
  timeout = 120_000,
): void {
  if (isLong) realTest(name, run, timeout);
  else test.skip(name, run, timeout);
}

/**
 * A function like `realTest` for tests that also need programs of another Debian suite, which it
 * passes to them as the folder into which they are unpacked. Without that suite they are skipped.
 */
export async function unpackedTests(
  folder: string,
  packages: SuitePackages,
): Promise<(name: string, run: (tree: string) => Promise<void>, timeout?: number) => void> {
  let tree = "";
  let available = real;
  if (real.available) {
    try {
      tree = await ensureUnpacked(folder, packages);
    } catch (error) {
      console.error(error);
      available = { available: false, reason: `${folder} could not be unpacked, see above` };
    }
  }
  return (name, run, timeout = 60_000) => testIf(available, name, () => run(tree), timeout);
}

function testIf(
  { available, reason }: RealComponents,
  name: string,
  run: () => Promise<void> | void,
  timeout: number,
): void {
  if (available) test(name, run, timeout);
  else test.skip(`${name} [no real components: ${reason}]`, run, timeout);
}
