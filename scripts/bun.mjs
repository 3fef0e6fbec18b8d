// Where npm put Bun. Plain Node and no dependency; bin/entrepot asks it as well.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));

/** Without its install script, the package `bun` holds a stub of a few lines that only complains. */
const SMALLEST = 1024 * 1024;

const systems = { win32: "windows" };
const processors = { arm64: "aarch64" };

/**
 * The path of a Bun that runs here, or undefined.
 *
 * Bun's install script moves the binary of this platform into the package `bun`. Where npm is told
 * to run no scripts, it is still where npm unpacked it: in `@oven/bun-<system>-<processor>`, beside
 * that of another C library, which may be unpacked as well and does not run.
 */
export function findBun(folder = root) {
  const modules = path.join(folder, "node_modules");
  const installed = path.join(modules, "bun/bin/bun.exe");
  if (isBinary(installed)) return installed;
  const system = systems[process.platform] ?? process.platform;
  const name = `bun-${system}-${processors[process.arch] ?? process.arch}`;
  const oven = path.join(modules, "@oven");
  return listOf(oven)
    .filter((entry) => entry === name || entry.startsWith(`${name}-`))
    .sort()
    .flatMap((entry) => ["bun", "bun.exe"].map((file) => path.join(oven, entry, "bin", file)))
    .find((file) => isBinary(file) && runs(file));
}

function isBinary(file) {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    return fs.statSync(file).size > SMALLEST;
  } catch {
    return false;
  }
}

function listOf(folder) {
  try {
    return fs.readdirSync(folder);
  } catch {
    return [];
  }
}

function runs(file) {
  return spawnSync(file, ["--version"], { stdio: "ignore" }).status === 0;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const found = findBun();
  if (found === undefined) process.exitCode = 1;
  else console.log(found);
}
