// Installs missing dependencies. Runs before every start and test, so it does nothing if all are
// there.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { findBun, root } from "./bun.mjs";

/**
 * Installs what package-lock.json lists into node_modules: the runtime dependencies and, with
 * `dev`, those of the tests too.
 *
 * @throws Error if this machine cannot run Bun, or npm fails
 */
export function ensureInstalled({ dev = false, folder = root } = {}) {
  if (isInstalled(folder, dev) && findBun(folder) !== undefined) return;
  // npm would end with a stack trace of Bun's install script.
  expectProcessor();
  console.error("Installing what package-lock.json lists …");
  // Not `npm ci`: it fails if the configured registry lacks an optional package of another
  // platform. `npm install` installs the same locked versions.
  const quiet = ["--no-save", "--no-audit", "--no-fund", "--loglevel=error"];
  const args = ["install", ...quiet, dev ? "--include=dev" : "--omit=dev"];
  const result = npm(args, folder);
  if (result.error?.code === "ENOENT") {
    throw new Error(
      "npm is not in PATH: it comes with Node.js from https://nodejs.org; Debian has it in the package npm",
    );
  }
  if (result.error) throw new Error(`npm could not be started: ${result.error.message}`);
  if (result.status !== 0) {
    const how = result.signal ?? `exit code ${result.status}`;
    throw new Error(
      `npm install failed in ${folder} (${how}); its message is above. It needs a network, and must be able to write to node_modules. Without, copy this folder with its node_modules from a machine of the same kind, or use the executable that \`npm run build\` makes`,
    );
  }
  if (findBun(folder) === undefined) {
    const platform = `${process.platform} on ${process.arch}`;
    throw new Error(
      `npm installed no Bun that runs on ${platform}: see https://bun.com/docs/installation`,
    );
  }
}

/**
 * Whether npm has installed what package-lock.json lists, by the record that npm keeps of it: whoever
 * ran it, and however.
 */
function isInstalled(folder, dev) {
  const wanted = packagesOf(path.join(folder, "package-lock.json"));
  const present = packagesOf(path.join(folder, "node_modules/.package-lock.json"));
  return Object.entries(wanted)
    .filter(([at, one]) => at !== "" && !one.optional && (dev || !(one.dev || one.devOptional)))
    .every(([at, { version }]) => present[at]?.version === version);
}

function packagesOf(file) {
  try {
    return JSON.parse(fs.readFileSync(file, "utf8")).packages ?? {};
  } catch (error) {
    if (error.code === "ENOENT" || error instanceof SyntaxError) return {};
    throw new Error(
      `${file} cannot be read by this user (${error.code}): run \`chmod -R a+rX\` on its folder as its owner`,
      { cause: error },
    );
  }
}

/** @throws Error if this processor cannot run Bun */
function expectProcessor() {
  const check = fileURLToPath(new URL("processor.sh", import.meta.url));
  const { status } = spawnSync("sh", [check], { stdio: ["ignore", 2, 2] });
  if (status === 1) throw new Error("Nothing was installed.");
}

/** By itself, npm takes more than a minute and a half to say that there is no network. */
const RETRIES = {
  npm_config_fetch_retries: "3",
  npm_config_fetch_retry_mintimeout: "1000",
  npm_config_fetch_retry_maxtimeout: "10000",
};

/** Runs npm: the one that runs this script, if any, rather than the first one in PATH. */
function npm(args, folder) {
  // npm's output goes to standard error: standard output belongs to the command being run.
  const options = { cwd: folder, stdio: ["ignore", 2, 2], env: { ...RETRIES, ...process.env } };
  const running = process.env.npm_execpath;
  return running?.endsWith(".js")
    ? spawnSync(process.execPath, [running, ...args], options)
    : spawnSync("npm", args, options);
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    ensureInstalled({ dev: process.argv.includes("--dev") });
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
