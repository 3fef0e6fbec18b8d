// `npm start`: installs missing dependencies, then runs the cache.
import os from "node:os";
import path from "node:path";
import { root } from "./bun.mjs";
import { ensureBundle } from "./bundle.mjs";
import { ensureInstalled } from "./install.mjs";
import { run } from "./run.mjs";

/** As a shell has it for SIGILL. */
const ILLEGAL_INSTRUCTION = 128 + os.constants.signals.SIGILL;

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
  const code = await run(path.join(root, "bin/entrepot"), args, { cwd });
  if (code === ILLEGAL_INSTRUCTION) {
    console.error(
      "entrepot: it ended by an illegal instruction: this processor, or the type that a virtual machine gives it, lacks what Bun needs. See docs/how-to/troubleshoot.md",
    );
  }
  process.exitCode = code;
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
