import { spawnSync } from "node:child_process";

/** What a program writes to stdout; undefined if it cannot be run, fails, or takes longer than 20 s. */
export function programOutput(
  executable: string,
  args: readonly string[],
  cwd = "/",
): string | undefined {
  const { status, stdout } = spawnSync(executable, args, {
    cwd,
    encoding: "utf8",
    timeout: 20_000,
    maxBuffer: 8 * 1024 * 1024,
  });
  return status === 0 ? stdout : undefined;
}
