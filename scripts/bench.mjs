// `npm run bench`: installs what is missing, then benchmarks Entrepot against other caches. Pass
// flags after `--`: `npm run bench -- --quick`.
import path from "node:path";
import { findBun, root } from "./bun.mjs";
import { ensureBundle } from "./bundle.mjs";
import { benchPackages, ensureDebianPackages, packages } from "./components/debian.mjs";
import { ensureInstalled } from "./install.mjs";
import { run } from "./run.mjs";

try {
  ensureInstalled({ dev: true });
  ensureBundle();
  const { available } = await ensureDebianPackages({ ...packages, ...benchPackages });
  const args = [path.join(root, "bench/bench.ts"), ...process.argv.slice(2)];
  // Without the other caches there is nothing to compare with.
  process.exitCode = available ? await run(findBun(), args, { cwd: root }) : 1;
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
