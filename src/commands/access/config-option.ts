import type { Command } from "commander";
import { ANONYMOUS } from "../../access/rules/explain.ts";
import { type AccessConfig, readAccessConfig } from "../../config/access-config.ts";
import { ConfigError, quote } from "../../config/parsing/problems.ts";
import { type ImageReference, parseImageReference } from "../../oci/image-reference.ts";
import { printableLines } from "../../printable.ts";

export interface AccessOptions {
  readonly config?: string;
  readonly json?: true;
}

export function withAccessOptions(command: Command): Command {
  return command
    .option("--config <file>", "the cache's configuration (ENTREPOT_CONFIG)")
    .option("--json", "print the result as JSON");
}

/** @throws ConfigError */
export function configOf({ config }: AccessOptions, env = process.env): AccessConfig {
  const name = config ?? (env["ENTREPOT_CONFIG"] || undefined);
  if (name === undefined) {
    const message =
      "which configuration? write --config FILE, or set ENTREPOT_CONFIG: without one, whoever reaches the cache may pull everything";
    throw new ConfigError([{ message }]);
  }
  return readAccessConfig(name, config === undefined ? "ENTREPOT_CONFIG" : "--config");
}

/** What is wrong with the name of a principal, as text that follows it. */
export function principalProblem(text: string): string | undefined {
  if (text === ANONYMOUS || /^[^:\s][^:]*:./s.test(text)) return undefined;
  return `${quote(text)} is no principal: write what it is known by and its name, such as user:alice, or ${ANONYMOUS}`;
}

/** Parses an image; its repository is what decides. Returns the reason if it is none. */
export function parseImage(text: string): ImageReference | string {
  return (
    parseImageReference(text) ??
    `${quote(text)} is no image: write it with its registry, such as ghcr.io/org/app`
  );
}

/** Runs a command that reads a configuration. Returns its exit code: 2 for what is not valid. */
export function reportingProblems(run: () => number): number {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`entrepot: ${printableLines(error.message)}\n`);
    return 2;
  }
}
