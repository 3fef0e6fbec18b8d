// Installs missing dependencies. Runs before every start and test, so it does nothing if all are
// there.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { findBun, root } from "./bun.mjs";

/**
 * Installs what package-lock.json lists into node_modules: the runtime dependencies and, with
 * `dev`, those of the tests too.
 *
 * @throws Error if npm fails
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
  // Not `npm ci`: it fails if the configured registry lacks an optional package of another
  // platform. `npm install` installs the same locked versions.
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
      `npm installed no Bun that runs on ${platform}: see https://bun.com/docs/installation`,
    );
  }
  fs.writeFileSync(marker, `${lock} ${dev ? "dev" : "run"}`);
}

/** Runs npm: the one that runs this script, if any, rather than the first one in PATH. */
function npm(args, folder) {
  // npm's output goes to standard error: standard output belongs to the command being run.
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
