// Counts the tests of a run.

/**
 * Counts the tests of a `bun test` run from its JUnit report (undefined if there is none) and its
 * exit code. A run that crashed, exited in the middle of a test or failed without a failed test
 * counts as one failure: it must never look like a success.
 */
export function countTests(report, exitCode) {
  const totals = /<testsuites\b[^>]*>/.exec(report ?? "")?.[0];
  if (totals === undefined) return { passed: 0, failed: 1, skipped: 0 };
  const number = (name) => Number(new RegExp(`\\s${name}="(\\d+)"`).exec(totals)?.[1] ?? 0);
  const failed = number("failures") + number("errors");
  const skipped = number("skipped");
  const passed = number("tests") - failed - skipped;
  const isIncomplete = (exitCode !== 0 && failed === 0) || passed + failed + skipped === 0;
  return { passed, failed: failed + (isIncomplete ? 1 : 0), skipped };
}

/**
 * The tests that failed in a run of `bun test`, from its JUnit report: their names, without those of the groups that they
 * are in, their files, and what failed.
 */
export function failedTests(report) {
  const cases = (report ?? "").matchAll(/<testcase ([^>]*[^/])>\s*<(?:failure|error) ([^>]*)>/g);
  return Array.from(cases, ([, test, failure]) => ({
    name: attribute(test, "name"),
    file: attribute(test, "file"),
    message: attribute(failure, "message").trim(),
  }));
}

const entities = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&", "#10": "\n", "#9": "\t" };

function attribute(tag, name) {
  const value = new RegExp(`(?:^|\\s)${name}="([^"]*)"`).exec(tag)?.[1] ?? "";
  return value.replace(/&(#?\w+);/g, (text, entity) => entities[entity] ?? text);
}

export function sumCounts(all) {
  const sum = (name) => all.reduce((total, counts) => total + counts[name], 0);
  return { passed: sum("passed"), failed: sum("failed"), skipped: sum("skipped") };
}

/** The last line that `npm test` prints. */
export function countLine({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}
