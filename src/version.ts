import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import manifest from "../package.json" with { type: "json" };

export const { version } = manifest;

/** What the program was built from. */
export interface Revision {
  /** Ends with `-dirty` if files had been changed since. */
  readonly commit?: string;
  /** When that was committed, or SOURCE_DATE_EPOCH of the build, in ISO 8601. */
  readonly date: string;
}

/** scripts/build.mjs puts it into executables. */
declare const ENTREPOT_REVISION: Revision | undefined;

/**
 * What this program was built from, or what is checked out where it runs from a checkout. Asks git, and
 * therefore is called only where somebody wants to know.
 */
export async function revision(main: string = Bun.main): Promise<Revision | undefined> {
  if (typeof ENTREPOT_REVISION !== "undefined") return ENTREPOT_REVISION;
  // scripts/launch.mjs or src/main.ts.
  const root = dirname(dirname(main));
  // Another repository may surround a checkout without its own.
  if (!existsSync(join(root, ".git")) || !existsSync(join(root, "bin/entrepot"))) return undefined;
  // Hooks of git set these for another repository.
  const { GIT_DIR: _, GIT_WORK_TREE: _tree, ...env } = process.env;
  // The user of a service is another one than that of its checkout.
  const trust = ["-c", "safe.directory=*"];
  const format = ["--no-show-signature", "--format=%H %ct"];
  try {
    const args = ["-C", root, ...trust, "log", "-1", ...format];
    const { stdout } = await promisify(execFile)("git", args, { env, timeout: 2000 });
    const [commit = "", seconds] = stdout.trim().split(" ");
    return { commit, date: new Date(Number(seconds) * 1000).toISOString() };
  } catch {
    // There is no git, or no commit yet.
    return undefined;
  }
}

/** As `entrepot --version` prints it. */
export function versionText(built: Revision | undefined): string {
  if (built === undefined) return version;
  const commit = built.commit?.replace(/^([0-9a-f]{12})[0-9a-f]*/, "$1");
  return `${version} (${commit === undefined ? "" : `commit ${commit}, `}${built.date.slice(0, 10)})`;
}
