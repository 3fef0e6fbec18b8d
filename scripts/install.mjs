// Installs what is missing, and nothing where nothing is: it runs before every start and test.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { findBun, root } from "./bun.mjs";

/**
 * Makes node_modules what package-lock.json says, for running the cache or, with `dev`, for its
 * tests too. Throws an Error where npm fails.
 */
export function ensureInstalled({ dev = false, folder = root } = {}) {
  const marker = path.join(folder, "node_modules/.entrepot-lock");
  const lock = createHash("sha256")
    .update(fs.readFileSync(path.join(folder, "package-lock.json")))
    .digest("hex");
  const kinds = dev ? ["dev"] : ["dev", "run"];
  const isDone = kinds.some((kind) => read(marker) === `${lock} ${kind}`);
  if (isDone && findBun(folder) !== undefined) return;

  console.error("Installing what package-lock.json lists …");
  // Not `npm ci`: it refuses a lock file some of whose optional packages, those of other platforms,
  // the registry in use does not have. `npm install` installs the very same versions.
  const quiet = ["--no-save", "--no-audit", "--no-fund", "--loglevel=error"];
  const args = ["install", ...quiet, dev ? "--include=dev" : "--omit=dev"];
  const result = npm(args, folder);
  if (result.error) throw new Error(`npm could not be started: ${result.error.message}`);
  if (result.status !== 0) {
    throw new Error(
      `npm ${args.join(" ")} failed (${result.signal ?? `exit code ${result.status}`})`,
    );
  }
  if (findBun(folder) === undefined) {
    const platform = `${process.platform} on ${process.arch}`;
    throw new Error(
      `npm brought no Bun that runs here (${platform}): see https://bun.com/docs/installation`,
    );
  }
  fs.writeFileSync(marker, `${lock} ${dev ? "dev" : "run"}`);
}

/** The npm that runs this script, if one does, rather than the first one of the search path. */
function npm(args, folder) {
  // npm's own word goes to standard error: standard output is for what was asked for.
  const options = { cwd: folder, stdio: ["ignore", 2, 2] };
  const running = process.env.npm_execpath;
  return running?.endsWith(".js")
    ? spawnSync(process.execPath, [running, ...args], options)
    : spawnSync("npm", args, options);
}

function read(file) {
  try {
    return fs.readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    ensureInstalled({ dev: process.argv.includes("--dev") });
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
