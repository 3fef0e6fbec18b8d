// Whether the bundle of `serve` is what its sources would be now. Nothing else is loaded by it: it
// stands before every start.
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));

/** Bundles are folders here, each made once; `current.json` names the one to use. */
export const home = (folder) => path.join(folder, ".cache/serve");
export const currentFile = (folder) => path.join(home(folder), "current.json");

/** The Bun that runs this, for which a bundle was made; a checkout may be shared between machines. */
export const runtime = () =>
  [process.versions.bun, process.revision, process.platform, process.arch].join(" ");

/**
 * What the system knows of files, in which every change shows: times of change can be set back by
 * anybody, but not the time at which a file's own record was changed (ctime).
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

/** The bundle's path, where it was made of the very files that are there, for this Bun and here. */
export function freshBundle(folder = root) {
  const current = readCurrent(folder);
  if (current?.folder !== folder || current.bun !== runtime()) return undefined;
  const { name, files, state } = current;
  return stateOf(folder, files) === state ? path.join(home(folder), name, "serve.js") : undefined;
}

/** What was made last, whether or not it is fresh. */
export function readCurrent(folder = root) {
  try {
    const current = JSON.parse(fs.readFileSync(currentFile(folder), "utf8"));
    return Array.isArray(current.files) ? current : undefined;
  } catch {
    return undefined;
  }
}
