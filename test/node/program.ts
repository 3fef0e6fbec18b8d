import { fileURLToPath } from "node:url";
import type { SupervisedNode } from "./supervised.ts";

export interface Ended {
  readonly code: number;
  /** Both streams. */
  readonly text: string;
}

export const PROGRAM = fileURLToPath(new URL("../../bin/entrepot", import.meta.url));

/** Runs `entrepot node …` to its end. */
export async function entrepotNode(
  words: readonly string[],
  {
    program = [PROGRAM],
    env = {},
  }: { program?: readonly string[]; env?: Record<string, string> } = {},
): Promise<Ended> {
  const child = Bun.spawn([...program, "node", ...words], {
    // Not the checkout, which another user may not be allowed to read.
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
  return { code, text: out + err };
}

/** The options that point the tool at a node of the tests. */
export function placesOf(node: SupervisedNode): string[] {
  return [
    "--socket",
    node.places.socket,
    "--state-dir",
    node.stateDir,
    "--restart-command",
    node.restartCommand,
  ];
}
