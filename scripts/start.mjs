// `npm start`: installs missing dependencies, then runs the cache.
import path from "node:path";
import { root } from "./bun.mjs";
import { ensureBundle } from "./bundle.mjs";
import { ensureInstalled } from "./install.mjs";
import { run } from "./run.mjs";

try {
  ensureInstalled();
  ensureBundle();
  // Where neither a flag, a variable nor the configuration says where the data is.
  const defaults = ["--default-data", path.join(root, "data")];
  const args = ["serve", ...defaults, ...process.argv.slice(2)];
  // npm runs scripts in the checkout's root, but relative paths are relative to where it was
  // called.
  const isNpm = process.env.npm_lifecycle_event === "start";
  const cwd = (isNpm && process.env.INIT_CWD) || process.cwd();
  process.exitCode = await run(path.join(root, "bin/entrepot"), args, { cwd });
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
