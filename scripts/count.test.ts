import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Counts, countLine, countTests, failedTests, sumCounts } from "./count.mjs";

interface TestRun {
  /** In JUnit's format; undefined if the run made none. */
  readonly report: string | undefined;
  readonly code: number;
}

/** A real run of `bun test` on one file, in parallel mode as in `npm test`. */
async function runTest(source: string): Promise<TestRun> {
  const folder = mkdtempSync(join(tmpdir(), "entrepot-count-"));
  try {
    writeFileSync(
      join(folder, "a.test.ts"),
      `import { describe, expect, test } from "bun:test";\n${source}`,
    );
    const report = join(folder, "report.xml");
    const reporter = ["--reporter=junit", `--reporter-outfile=${report}`];
    const child = Bun.spawn([process.execPath, "test", "--parallel=2", ...reporter], {
      cwd: folder,
      stdout: "ignore",
      stderr: "ignore",
    });
    const code = await child.exited;
    const hasReport = await Bun.file(report).exists();
    return { report: hasReport ? readFileSync(report, "utf8") : undefined, code };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function countRun(source: string): Promise<Counts> {
  const { report, code } = await runTest(source);
  return countTests(report, code);
}

const runs: [what: string, source: string, line: string][] = [
  [
    "passing, failing and skipped tests",
    `test("a <&\\" tests=9", () => {}); test("b", () => expect(1).toBe(2));
     test.skip("c", () => {}); test.todo("d"); test.each([1, 2])("e %p", () => {});`,
    "3 passed, 1 failed, 2 skipped",
  ],
  ["passing tests only", 'test("a", () => {});', "1 passed, 0 failed"],
  [
    "a file that cannot be loaded",
    'import "./none.ts"; test("a", () => {});',
    "0 passed, 1 failed",
  ],
  ["a test that ends the process", 'test("a", () => process.exit(0));', "0 passed, 1 failed"],
  ["a crash", 'test("a", () => process.kill(process.pid, "SIGKILL"));', "0 passed, 1 failed"],
  ["no tests", "", "0 passed, 1 failed"],
];

test.each(runs)("a run with %s is counted", async (_, source, line) => {
  expect(countLine(await countRun(source))).toBe(line);
});

test("a run that fails although all tests passed counts one failure", () => {
  const report = '<testsuites name="bun test" tests="3" failures="0" skipped="0">';
  expect(countTests(report, 1)).toEqual({ passed: 3, failed: 1, skipped: 0 });
});

test("the tests that failed are told with their files and what failed", async () => {
  const { report } = await runTest(`
    describe("a group", () => { test("<a> & \\"b\\"", () => expect(1).toBe(2)); test("c", () => {}); });
    test.each([1, 2])("d %p", (n) => { if (n === 2) throw new Error("two"); }); test.skip("e", () => {});`);
  expect(failedTests(report)).toEqual([
    {
      name: '<a> & "b"',
      file: "a.test.ts",
      message: expect.stringContaining("Expected: 2\nReceived: 1"),
    },
    { name: "d 2", file: "a.test.ts", message: "two" },
  ]);
  expect(failedTests(undefined)).toEqual([]);
});

test("counts are summed per kind", () => {
  const one = { passed: 1, failed: 2, skipped: 3 };
  expect(sumCounts([one, one])).toEqual({ passed: 2, failed: 4, skipped: 6 });
  expect(sumCounts([])).toEqual({ passed: 0, failed: 0, skipped: 0 });
});
