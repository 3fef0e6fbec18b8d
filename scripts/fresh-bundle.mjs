// Decides whether the bundle of `serve` is up to date with its sources. Runs at every start, so it
// imports nothing but Node's own modules.
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));

/**
 * Each bundle is a folder below this one and never changes; `current.json` names the one to use.
 */
export const bundlesFolder = (folder) => path.join(folder, ".cache/serve");
export const currentFile = (folder) => path.join(bundlesFolder(folder), "current.json");

/**
 * Identifies the running Bun: bytecode works only with the build of Bun that compiled it, and a
 * checkout may be shared between machines.
 */
export const runtime = () =>
  [process.versions.bun, process.revision, process.platform, process.arch].join(" ");

/**
 * A fingerprint of files from their metadata. Any change alters it: a program can set mtime back,
 * but not ctime, the time of the last change to the inode.
 */
export function stateOf(folder, files) {
  return files
    .map((file) => {
      try {
        const { ino, size, mtimeMs, ctimeMs } = fs.statSync(path.resolve(folder, file));
        return `${ino} ${size} ${mtimeMs} ${ctimeMs}`;
      } catch (error) {
        return error.code;
      }
    })
    .join("\n");
}

/**
 * The path of a program's bundle if it was built in this folder, for this Bun, from exactly the current files;
 * otherwise undefined.
 */
export function freshBundle(folder = root, program = "serve") {
  const current = readCurrent(folder);
  if (current?.folder !== folder || current.bun !== runtime()) return undefined;
  const { name, files, state } = current;
  return stateOf(folder, files) === state
    ? path.join(bundlesFolder(folder), name, `${program}.js`)
    : undefined;
}

/** The description of the last bundle, fresh or not; undefined if there is none. */
export function readCurrent(folder = root) {
  try {
    const current = JSON.parse(fs.readFileSync(currentFile(folder), "utf8"));
    return Array.isArray(current.files) ? current : undefined;
  } catch {
    return undefined;
  }
}
