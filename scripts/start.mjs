// `npm start`: installs what is missing, then runs the cache.
import path from "node:path";
import { root } from "./bun.mjs";
import { ensureBundle } from "./bundle.mjs";
import { ensureInstalled } from "./install.mjs";
import { run } from "./run.mjs";

/** In a checkout, content is kept beside the code unless somebody says where it belongs. */
function withData(args) {
  const isSaid =
    args.some((arg) => /^--(?:data|config)(?:=|$)/.test(arg)) ||
    process.env.ENTREPOT_DATA ||
    process.env.ENTREPOT_CONFIG;
  return isSaid ? args : [...args, "--data", path.join(root, "data")];
}

try {
  ensureInstalled();
  ensureBundle();
  const args = ["serve", ...withData(process.argv.slice(2))];
  // npm runs scripts at the top of the checkout; relative paths mean where it was called.
  const isNpm = process.env.npm_lifecycle_event === "start";
  const cwd = (isNpm && process.env.INIT_CWD) || process.cwd();
  process.exitCode = await run(path.join(root, "bin/entrepot"), args, { cwd });
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
