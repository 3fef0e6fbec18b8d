// The entry point of bin/entrepot: runs the bundle of `serve` or `node` if it is fresh, otherwise the
// sources.
import { createRequire } from "node:module";
import { ensureRuntimeOptions } from "../src/process/runtime-options.ts";
import { freshBundle } from "./fresh-bundle.mjs";

/** The commands that have a bundle of their own. */
const PROGRAMS = { serve: "serve", node: "node-command" };

ensureRuntimeOptions();

const program = PROGRAMS[process.argv[2]];
const bundle = program === undefined ? undefined : freshBundle(undefined, program);
if (bundle === undefined) await import("../src/main.ts");
else createRequire(import.meta.url)(bundle);
