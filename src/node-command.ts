import { nodeCommand } from "./commands/node/node.ts";
import { runProgram } from "./commands/program.ts";
import { keepLoopbackFromProxy } from "./process/loopback-without-proxy.ts";

// `entrepot node` only: scripts/bundle.mjs bundles this file, as serve.ts. Nodes run it often.
keepLoopbackFromProxy(process.env);
void runProgram([nodeCommand()]);
