import { fileURLToPath } from "node:url";
import type { Entrepot } from "./entrepot.ts";
import { type CommandResult, run } from "../processes.ts";

const PROGRAM = fileURLToPath(new URL("../../../bin/entrepot", import.meta.url));

/** Runs `bin/entrepot` with these arguments against a running cache, over its admin API. */
export function command(cache: Entrepot, ...args: readonly string[]): Promise<CommandResult> {
  const flags = ["--config", cache.configFile, "--admin", cache.adminAddress, "--data", cache.data];
  return run([PROGRAM, ...args, ...flags]);
}

/**
 * Runs `bin/entrepot` directly on a data directory: nothing listens at the admin address it gets.
 */
export function commandOn(
  data: string,
  configFile: string,
  ...args: readonly string[]
): Promise<CommandResult> {
  const flags = ["--config", configFile, "--admin", "127.0.0.1:1", "--data", data];
  return run([PROGRAM, ...args, ...flags]);
}
