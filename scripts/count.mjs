// Counting what a test run did.

/**
 * Counts of a run of `bun test`, from its JUnit report (undefined where it wrote none) and its exit
 * code. A run that broke off, that exited in the middle of a test or that failed without a failed
 * test counts as one failure: it must never look like a success.
 */
export function countTests(report, exitCode) {
  const totals = /<testsuites\b[^>]*>/.exec(report ?? "")?.[0];
  if (totals === undefined) return { passed: 0, failed: 1, skipped: 0 };
  const number = (name) => Number(new RegExp(`\\s${name}="(\\d+)"`).exec(totals)?.[1] ?? 0);
  const failed = number("failures") + number("errors");
  const skipped = number("skipped");
  const passed = number("tests") - failed - skipped;
  const isSilent = (exitCode !== 0 && failed === 0) || passed + failed + skipped === 0;
  return { passed, failed: failed + (isSilent ? 1 : 0), skipped };
}

export function sumCounts(all) {
  const sum = (name) => all.reduce((total, counts) => total + counts[name], 0);
  return { passed: sum("passed"), failed: sum("failed"), skipped: sum("skipped") };
}

/** The line that a run ends with. */
export function countLine({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}
