// `npm start`: installs missing dependencies, then runs the cache.
import path from "node:path";
import { root } from "./bun.mjs";
import { ensureBundle } from "./bundle.mjs";
import { ensureInstalled } from "./install.mjs";
import { run } from "./run.mjs";

/** Defaults the data directory to `data/` in the checkout, unless a flag or variable sets it. */
function withDataDirectory(args) {
  const isConfigured =
    args.some((arg) => /^--(?:data|config)(?:=|$)/.test(arg)) ||
    process.env.ENTREPOT_DATA ||
    process.env.ENTREPOT_CONFIG;
  return isConfigured ? args : [...args, "--data", path.join(root, "data")];
}

try {
  ensureInstalled();
  ensureBundle();
  const args = ["serve", ...withDataDirectory(process.argv.slice(2))];
  // npm runs scripts in the checkout's root, but relative paths are relative to where it was
  // called.
  const isNpm = process.env.npm_lifecycle_event === "start";
  const cwd = (isNpm && process.env.INIT_CWD) || process.cwd();
  process.exitCode = await run(path.join(root, "bin/entrepot"), args, { cwd });
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
