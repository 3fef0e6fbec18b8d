// Makes one file of `serve`, compiled ahead, with which it starts in half of the time. It is used
// for as long as nothing that it was made of has changed (fresh-bundle.mjs); without it, the sources
// are. So nothing that goes wrong here is an error.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import { findBun } from "./bun.mjs";
import {
  currentFile,
  freshBundle,
  home,
  readCurrent,
  root,
  runtime,
  stateOf,
} from "./fresh-bundle.mjs";

/** Clocks of file systems tick: what has just changed may change once more without showing it. */
const SETTLED_MS = 2000;
/** A folder that is neither used nor being made any more. */
const LEFT_BEHIND_MS = 600_000;

/** What decides on a bundle besides what is in it. */
const DECIDING = [
  "package.json",
  "tsconfig.json",
  "bunfig.toml",
  "node_modules/.package-lock.json",
  "scripts/bundle.mjs",
  "scripts/fresh-bundle.mjs",
];

/** Makes the bundle where there is none that is fresh. It takes two seconds or three. */
export function ensureBundle() {
  const bun = findBun();
  if (bun === undefined) return;
  const still = [`--config=${path.join(root, "bunfig.toml")}`, "--no-env-file", "--no-install"];
  spawnSync(bun, [...still, fileURLToPath(import.meta.url)], {
    cwd: root,
    stdio: ["ignore", "ignore", 2],
  });
}

async function make() {
  // What Bun tells of what it has read is relative to it.
  process.chdir(root);
  fs.mkdirSync(home(root), { recursive: true });
  // Not by console.error, which Bun paints red.
  process.stderr.write("Compiling `serve` ahead …\n");
  await settle();
  // Its name is its own: others may be at it as well, and this one may be ended at any moment.
  const work = fs.mkdtempSync(path.join(home(root), "made-"));
  // For other users too, as all of the checkout is.
  fs.chmodSync(work, 0o755);
  const begun = fs.statSync(work).ctimeMs;
  const { metafile } = await Bun.build({
    entrypoints: [path.join(root, "src/serve.ts")],
    outdir: work,
    root: path.join(root, "src"),
    target: "bun",
    format: "cjs",
    bytecode: true,
    env: "disable",
    metafile: true,
  });
  const made = ["serve.js", "serve.js.jsc"].map((name) => path.join(work, name));
  const inputs = Object.keys(metafile.inputs);
  if (!inputs.includes("src/serve.ts") || !inputs.every((file) => fs.existsSync(file))) {
    throw new Error("Bun does not tell what it has read, or that is gone");
  }
  const sources = [...inputs, ...DECIDING];
  for (const file of [...made, work]) sync(file);
  const files = [...sources, ...made.map((file) => path.relative(root, file))];
  const state = stateOf(root, files);
  // After their state was taken: what changes from now on shows in it. What changed since the
  // beginning may have been bundled as it was before.
  if (Math.max(...changedAt(sources)) > begun - SETTLED_MS) {
    fs.rmSync(work, { recursive: true });
    return;
  }
  publish({ folder: root, bun: runtime(), name: path.basename(work), files, state });
}

/** Waits until all that is bundled has held still for long enough, for as long as that may take. */
async function settle() {
  const listed = fs.readdirSync(path.join(root, "src"), { recursive: true });
  const watched = [...listed.map((name) => path.join("src", name)), ...DECIDING];
  const wait = Math.max(...changedAt(watched)) + SETTLED_MS + 100 - Date.now();
  if (wait > 0) await setTimeout(Math.min(wait, 2 * SETTLED_MS));
}

function changedAt(files) {
  return files.map((file) => fs.statSync(file, { throwIfNoEntry: false })?.ctimeMs ?? 0);
}

function publish(current) {
  const before = readCurrent()?.name;
  const draft = path.join(home(root), current.name, "current.json");
  fs.writeFileSync(draft, JSON.stringify(current));
  sync(draft);
  fs.renameSync(draft, currentFile(root));
  for (const entry of fs.readdirSync(home(root), { withFileTypes: true })) {
    // A start that has just read what was current before may be about to load it.
    if (!entry.isDirectory() || entry.name === current.name || entry.name === before) continue;
    const old = path.join(home(root), entry.name);
    if (Date.now() - fs.statSync(old).mtimeMs > LEFT_BEHIND_MS) {
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
  if (!process.versions.bun) ensureBundle();
  else if (freshBundle() === undefined) await make().catch(() => {});
}
