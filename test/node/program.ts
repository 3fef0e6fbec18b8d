import { fileURLToPath } from "node:url";
import { nodeOutputSchema } from "../../src/commands/node/output-schema.ts";
import type { SupervisedNode } from "./supervised.ts";

export interface ProgramResult {
  readonly code: number;
  /** Standard output and standard error. */
  readonly text: string;
}

export const PROGRAM = fileURLToPath(new URL("../../bin/entrepot", import.meta.url));

/** Runs `entrepot node …` until it ends. */
export async function entrepotNode(
  args: readonly string[],
  {
    program = [PROGRAM],
    env = {},
  }: { program?: readonly string[]; env?: Record<string, string> } = {},
): Promise<ProgramResult> {
  const child = Bun.spawn([...program, "node", ...args], {
    // Not the checkout, which another user may not be able to read.
    cwd: "/",
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, ...env },
  });
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  // Whatever a test is about, what it printed has to fit the schema that is published.
  if (args.includes("--json") && args[0] !== "watch") nodeOutputSchema.parse(JSON.parse(out));
  return { code, text: out + err };
}

/** The options that select a node of the tests. */
export function optionsFor(node: SupervisedNode): string[] {
  return [
    "--socket",
    node.paths.socket,
    "--state-dir",
    node.stateDir,
    "--restart-command",
    node.restartCommand,
  ];
}
