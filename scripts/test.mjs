// `npm test` installs what is missing, checks format, lint and types, then runs all tests.
// `npm test -- NAME …` runs only the test files whose paths contain one of the names, and no checks.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { ensureApiTypes } from "./api-types.mjs";
import { findBun, root } from "./bun.mjs";
import { countLine, countTests, failedTests, sumCounts } from "./count.mjs";
import { ensureDebianPackages } from "./components/debian.mjs";
import { ensureBundle } from "./bundle.mjs";
import { ensureInstalled } from "./install.mjs";
import { run } from "./run.mjs";

/** Default timeout of one test; containerd and other real components are slow on a busy machine. */
const TEST_TIMEOUT_MS = 60_000;
/**
 * How many test files run in parallel: tests wait more than they compute. With more, tests that
 * limit response times would fail because of the load. Each long test loads the machine on its own.
 */
const PARALLEL_FILES = process.env.ENTREPOT_LONG === "1" ? 1 : 2;
/** How many concurrent tests of one file run at once: each starts a cache, which takes a second of a core. */
const CONCURRENT_TESTS = 4;
/**
 * Test files that wait for timeouts, back-offs and slow registries, and compute little. They run one after the other
 * beside all others, for which the processors are free meanwhile.
 */
const WAITING_FILES = [
  "access-changes",
  "access-pod-secrets",
  "cloud-registries",
  "credentials",
  "metadata-repair",
  "mirrors",
  "neighbours",
  "node/watch",
  "partial-failures",
  "process-lifecycle",
  "rate-limits",
  "revoked-access",
  "signatures-hanging",
  "slow-disk",
  "slow-upstream",
  "upstream-faults",
].map((name) => `test/${name}.test.ts`);
WAITING_FILES.push("src/server/admin/admin-listener.test.ts");
/** More tests than this fail for a reason: they are not tried again. */
const MAX_TRIED_AGAIN = 5;
/** Timeout of all tests together: a run that hangs must still end with a result. */
const RUN_TIMEOUT_MS = 60 * 60_000;

async function check(name, command, args) {
  console.log(`\n== ${name}`);
  const code = await run(command, args, { cwd: root });
  if (code !== 0) console.log(`(fail) ${name}: exit code ${code}`);
  return { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, skipped: 0 };
}

/** Runs all tests, or those that the filters name. A few that fail are tried once more. */
async function runTests(bun, filters) {
  console.log("\n== tests");
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "entrepot-test-"));
  try {
    const runs = await runLanes(bun, filters, folder);
    const counts = sumCounts(runs.map((one) => one.counts));
    const failed = runs.flatMap((one) => one.failed);
    const isFew = failed.length > 0 && failed.length <= MAX_TRIED_AGAIN;
    // A file that could not be loaded, or a crash, is a failure without a test.
    if (!isFew || counts.failed !== failed.length) return told(counts, failed);
    const still = await tryAgain(bun, failed, folder);
    const passed = counts.passed + failed.length - still.length;
    return told({ ...counts, passed, failed: still.length }, still);
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

async function runLanes(bun, filters, folder) {
  // Each file would load all modules anew otherwise: a tenth of the time.
  const parallel = [`--parallel=${PARALLEL_FILES}`, "--no-isolate"];
  if (filters.length > 0) return [await runFiles(bun, [...parallel, ...filters], { folder })];
  // Its output follows that of the others, so that each test stands below its file.
  const output = path.join(folder, "waiting.log");
  const waiting = runFiles(bun, WAITING_FILES, { folder, output });
  const ignored = WAITING_FILES.map((file) => `--path-ignore-patterns=${file}`);
  const runs = [await runFiles(bun, [...parallel, ...ignored], { folder }), await waiting];
  console.log(`\n== tests that wait\n${fs.readFileSync(output, "utf8")}`);
  return runs;
}

/**
 * Runs tests that failed once more, with nothing beside them, and resolves to those that fail again. One that passes then
 * is a race, or was the load's fault: it is named, so that it can be mended, and does not fail the run.
 */
async function tryAgain(bun, failed, folder) {
  console.log("\n== tests that failed, alone");
  const names = failed.map(({ name }) => name.replace(/[^\w ]/g, "\\$&")).join("|");
  const files = new Set(failed.map(({ file }) => file));
  const again = await runFiles(bun, [`--test-name-pattern=${names}`, ...files], { folder });
  if (again.counts.failed > again.failed.length) return failed;
  const still = failed.filter(({ name, file }) =>
    again.failed.some((other) => other.name === name && other.file === file),
  );
  for (const one of failed) {
    if (!still.includes(one)) console.log(`(flaky) ${one.file} > ${one.name}`);
  }
  return still;
}

/** Names the tests that failed at the end, where they are found. */
function told(counts, failed) {
  if (failed.length > 0) console.log("\n== failed");
  for (const { name, file, message } of failed) {
    console.log(`(fail) ${file} > ${name}\n  ${message.replaceAll("\n", "\n  ")}`);
  }
  return counts;
}

/** Runs `bun test` once; its output goes to a file if one is given. Resolves to the counts, and the tests that failed. */
async function runFiles(bun, args, { folder, output }) {
  const report = path.join(folder, `report${output === undefined ? "" : "-waiting"}.xml`);
  const settings = [
    "--reporter=junit",
    `--reporter-outfile=${report}`,
    `--max-concurrency=${CONCURRENT_TESTS}`,
    `--timeout=${TEST_TIMEOUT_MS}`,
  ];
  const file = output === undefined ? "inherit" : fs.openSync(output, "w");
  const code = await run(bun, ["test", ...settings, ...args], {
    cwd: root,
    timeout: RUN_TIMEOUT_MS,
    killSignal: "SIGKILL",
    stdio: ["inherit", file, file],
  });
  if (typeof file === "number") fs.closeSync(file);
  if (code !== 0) console.log(`(fail) bun test: exit code ${code}`);
  const text = fs.existsSync(report) ? fs.readFileSync(report, "utf8") : undefined;
  fs.rmSync(report, { force: true });
  return { counts: countTests(text, code), failed: failedTests(text) };
}

async function main(filters) {
  ensureInstalled({ dev: true });
  ensureBundle();
  const bun = findBun();
  const oxlint = path.join(root, "node_modules/.bin/oxlint");
  await ensureDebianPackages();
  const counts = [];
  if (filters.length === 0) {
    await ensureApiTypes();
    counts.push(
      await check("format (bun fmt)", bun, ["fmt", "--no-script", "--check"]),
      await check("lint (oxlint)", oxlint, ["--type-aware", "--deny-warnings"]),
      await check("types (bun check)", bun, ["check", "--no-script"]),
    );
  }
  counts.push(await runTests(bun, filters));
  return sumCounts(counts);
}

let counts = { passed: 0, failed: 1, skipped: 0 };
try {
  counts = await main(process.argv.slice(2));
} catch (error) {
  console.error(error.message);
}
console.log(`\n${countLine(counts)}`);
process.exitCode = counts.failed > 0 ? 1 : 0;
