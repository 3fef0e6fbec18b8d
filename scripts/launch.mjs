// The entry point of bin/entrepot: runs the bundle of a command if it is fresh, otherwise the
// sources.
import { createRequire } from "node:module";
import { OPERATOR_COMMANDS } from "../src/commands/operator-commands.ts";
import { ensureRuntimeOptions } from "../src/process/runtime-options.ts";
import { freshBundle } from "./fresh-bundle.mjs";

/** Which bundle each command is in. The others have none. */
const PROGRAMS = new Map([
  ["serve", "serve"],
  ["node", "node-command"],
  ...Object.keys(OPERATOR_COMMANDS).map((name) => [name, "operator-command"]),
]);

ensureRuntimeOptions();

const program = PROGRAMS.get(process.argv[2]);
const bundle = program === undefined ? undefined : freshBundle(undefined, program);
if (bundle === undefined) await import("../src/main.ts");
else createRequire(import.meta.url)(bundle);
