// Finds the Bun that npm installed. Plain Node without dependencies; bin/entrepot runs it too.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));

/**
 * A smaller file is not Bun: if its install script did not run, the package `bun` holds a script of
 * a few lines that only prints an error.
 */
const MIN_BINARY_SIZE = 1024 * 1024;

const platformNames = { win32: "windows" };
const archNames = { arm64: "aarch64" };

/**
 * The path of a Bun that runs on this machine, or undefined.
 *
 * Bun's install script moves the binary of this platform into the package `bun`. If npm does not
 * run install scripts, the binary is still in `@oven/bun-<platform>-<arch>`. npm may also have
 * unpacked the variant for another C library (musl or glibc), which does not run.
 */
export function findBun(folder = root) {
  const modules = path.join(folder, "node_modules");
  const installed = path.join(modules, "bun/bin/bun.exe");
  if (isBinary(installed)) return installed;
  const platform = platformNames[process.platform] ?? process.platform;
  const name = `bun-${platform}-${archNames[process.arch] ?? process.arch}`;
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
    return fs.statSync(file).size > MIN_BINARY_SIZE;
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
