import { fileURLToPath } from "node:url";
import type { Entrepot } from "./entrepot.ts";
import { type Finished, run } from "./processes.ts";

const PROGRAM = fileURLToPath(new URL("../../bin/entrepot", import.meta.url));

/** Runs a command on a cache that runs. */
export function command(cache: Entrepot, ...args: readonly string[]): Promise<Finished> {
  const place = ["--config", cache.configFile, "--admin", cache.adminAddress, "--data", cache.data];
  return run([PROGRAM, ...args, ...place]);
}

/** Runs a command on a folder that no cache uses: at the port that is named, nobody listens. */
export function commandOn(
  data: string,
  configFile: string,
  ...args: readonly string[]
): Promise<Finished> {
  const place = ["--config", configFile, "--admin", "127.0.0.1:1", "--data", data];
  return run([PROGRAM, ...args, ...place]);
}
