import { runProgram } from "./commands/program.ts";
import { serveCommand } from "./commands/serve/serve.ts";

// `entrepot serve` only: scripts/bundle.mjs bundles this file, which starts faster than main.ts.
// The bundle is a CommonJS script, so there is no top-level await here.
void runProgram([serveCommand()]);
