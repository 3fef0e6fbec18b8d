// The entry point of bin/entrepot: runs the bundle of `serve` if it is fresh, otherwise the
// sources.
import { createRequire } from "node:module";
import { ensureRuntimeOptions } from "../src/process/runtime-options.ts";
import { freshBundle } from "./fresh-bundle.mjs";

ensureRuntimeOptions();

const bundle = process.argv[2] === "serve" ? freshBundle() : undefined;
if (bundle === undefined) await import("../src/main.ts");
else createRequire(import.meta.url)(bundle);
