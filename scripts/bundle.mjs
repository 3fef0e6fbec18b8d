// Bundles `serve`, what its workers run, `node`, and the commands that work on a cache, into a file of precompiled bytecode each, which halves the startup time.
// bin/entrepot uses the bundle while its inputs are unchanged (see fresh-bundle.mjs), and the
// sources otherwise. Therefore a failure here is not an error. After an installation, it also makes the types of
// the admin API.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import { ensureApiTypes } from "./api-types.mjs";
import { findBun } from "./bun.mjs";
import {
  bundlesFolder,
  currentFile,
  freshBundle,
  readCurrent,
  root,
  runtime,
  stateOf,
} from "./fresh-bundle.mjs";

/**
 * File timestamps are coarse: a file that has just changed can change again without a new
 * timestamp, so a file counts as settled only after this time.
 */
const SETTLED_MS = 2000;
/** An older bundle folder is neither in use nor being built any more. */
const LEFTOVER_AGE_MS = 600_000;

/** What is bundled, of src/. */
const PROGRAMS = ["serve", "hit-worker", "download-worker", "node-command", "operator-command"];

/** Files that affect the bundle without being bundled. */
const BUILD_INPUTS = [
  "package.json",
  "tsconfig.json",
  "bunfig.toml",
  "node_modules/.package-lock.json",
  "scripts/bundle.mjs",
  "scripts/fresh-bundle.mjs",
];

/** Builds the bundle unless a fresh one exists. Takes two to three seconds. */
export function ensureBundle() {
  const bun = findBun();
  if (bun === undefined) return;
  const isolation = [`--config=${path.join(root, "bunfig.toml")}`, "--no-env-file", "--no-install"];
  spawnSync(bun, [...isolation, fileURLToPath(import.meta.url)], {
    cwd: root,
    stdio: ["ignore", "ignore", 2],
  });
}

async function buildBundle() {
  // Bun reports its input files relative to the current directory.
  process.chdir(root);
  fs.mkdirSync(bundlesFolder(root), { recursive: true });
  // Not console.error, which Bun colours red.
  process.stderr.write("Precompiling `serve` …\n");
  await settle();
  // The name is unique: another process may be building too, and this one may be killed at any
  // time.
  const work = fs.mkdtempSync(path.join(bundlesFolder(root), "made-"));
  // Readable for other users, like the rest of the checkout.
  fs.chmodSync(work, 0o755);
  const startedAt = fs.statSync(work).ctimeMs;
  const { metafile } = await Bun.build({
    entrypoints: PROGRAMS.map((name) => path.join(root, "src", `${name}.ts`)),
    outdir: work,
    root: path.join(root, "src"),
    target: "bun",
    format: "cjs",
    bytecode: true,
    env: "disable",
    metafile: true,
  });
  const files = PROGRAMS.flatMap((name) => [`${name}.js`, `${name}.js.jsc`]);
  const outputs = files.map((name) => path.join(work, name));
  const inputs = Object.keys(metafile.inputs);
  const isComplete = PROGRAMS.every((name) => inputs.includes(`src/${name}.ts`));
  if (!isComplete || !inputs.every((file) => fs.existsSync(file))) {
    throw new Error("Bun reported no input files, or some no longer exist");
  }
  const sources = [...inputs, ...BUILD_INPUTS];
  for (const file of [...outputs, work]) sync(file);
  const recorded = [...sources, ...outputs.map((file) => path.relative(root, file))];
  const state = stateOf(root, recorded);
  // Checked after the state was recorded: any later change makes the state differ. A source that
  // changed since the build started may have been bundled in its old version.
  if (Math.max(...changedAt(sources)) > startedAt - SETTLED_MS) {
    fs.rmSync(work, { recursive: true });
    return;
  }
  publish({ folder: root, bun: runtime(), name: path.basename(work), files: recorded, state });
}

/** Waits until no source has changed for `SETTLED_MS`, but for twice that at most. */
async function settle() {
  const listed = fs.readdirSync(path.join(root, "src"), { recursive: true });
  const watched = [...listed.map((name) => path.join("src", name)), ...BUILD_INPUTS];
  const wait = Math.max(...changedAt(watched)) + SETTLED_MS + 100 - Date.now();
  if (wait > 0) await setTimeout(Math.min(wait, 2 * SETTLED_MS));
}

function changedAt(files) {
  return files.map((file) => fs.statSync(file, { throwIfNoEntry: false })?.ctimeMs ?? 0);
}

/** Makes a bundle the current one, and removes leftovers. */
function publish(current) {
  const previous = readCurrent()?.name;
  const temporary = path.join(bundlesFolder(root), current.name, "current.json");
  fs.writeFileSync(temporary, JSON.stringify(current));
  sync(temporary);
  fs.renameSync(temporary, currentFile(root));
  for (const entry of fs.readdirSync(bundlesFolder(root), { withFileTypes: true })) {
    // A process that has just read the previous current.json may be about to load that bundle.
    if (!entry.isDirectory() || entry.name === current.name || entry.name === previous) continue;
    const old = path.join(bundlesFolder(root), entry.name);
    if (Date.now() - fs.statSync(old).mtimeMs > LEFTOVER_AGE_MS) {
      fs.rmSync(old, { recursive: true, force: true });
    }
  }
}

function sync(file) {
  const handle = fs.openSync(file, "r");
  fs.fsyncSync(handle);
  fs.closeSync(handle);
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  if (!process.versions.bun) {
    // Of use only to whoever changes the commands.
    await ensureApiTypes().catch(() => {});
    ensureBundle();
  } else if (freshBundle() === undefined) await buildBundle().catch(() => {});
}
