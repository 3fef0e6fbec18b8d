// The time that everything built from these sources has, so that a second build has the same bytes.
import { spawnSync } from "node:child_process";
import { root } from "../bun.mjs";

/**
 * SOURCE_DATE_EPOCH if it is set, otherwise the time of the last commit, in seconds.
 *
 * @throws Error if there is neither
 */
export function sourceDate() {
  const given = process.env.SOURCE_DATE_EPOCH;
  if (given !== undefined && given !== "") {
    if (!/^\d{1,11}$/.test(given)) {
      throw new Error(`SOURCE_DATE_EPOCH=${given}: write seconds since 1970, such as 1767225600`);
    }
    return Number(given);
  }
  const { status, stdout } = spawnSync("git", ["log", "-1", "--format=%ct"], {
    cwd: root,
    encoding: "utf8",
  });
  if (status !== 0) {
    throw new Error("this is no git checkout: set SOURCE_DATE_EPOCH, such as 1767225600");
  }
  return Number(stdout.trim());
}
