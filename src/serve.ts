import { runProgram } from "./commands/program.ts";
import { serveCommand } from "./commands/serve/serve.ts";

// `entrepot serve` and no other command: scripts/bundle.mjs makes one file of it that starts sooner.
// That file is no module, in which nothing can be waited for here.
void runProgram([serveCommand()]);
