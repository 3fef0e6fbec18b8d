// What is built, and when it counts as built: the same sources give the same bytes at any time.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { root } from "./bun.mjs";

/** Packages of rpm have times of 32 bits, which archives of tar exceed by little. */
const LATEST = 2 ** 32 - 1;

/**
 * The commit of a checkout (`-dirty` if its files have been changed since), and the time that everything built
 * from it bears: SOURCE_DATE_EPOCH, otherwise the commit's, otherwise the start of 1970.
 *
 * @throws Error if SOURCE_DATE_EPOCH is not a number of seconds
 */
export function sourceRevision(folder = root, env = process.env) {
  const { commit, seconds } = commitOf(folder);
  const wanted = env.SOURCE_DATE_EPOCH;
  if (wanted !== undefined && !(/^\d{1,10}$/.test(wanted) && Number(wanted) <= LATEST)) {
    throw new Error(
      `SOURCE_DATE_EPOCH is ${JSON.stringify(wanted)}: it must be a whole number of seconds since 1970, until ${LATEST}, such as ${seconds ?? 1700000000}`,
    );
  }
  const epoch = Number(wanted ?? seconds ?? 0);
  return { commit, epoch, date: new Date(epoch * 1000).toISOString().replace(".000Z", "Z") };
}

function commitOf(folder) {
  // Another repository may surround a folder of sources without its own.
  if (!fs.existsSync(path.join(folder, ".git"))) return {};
  const { GIT_DIR: _, GIT_WORK_TREE: _tree, ...env } = process.env;
  const git = (...args) => {
    const trust = ["-C", folder, "-c", "safe.directory=*"];
    const { status, stdout } = spawnSync("git", [...trust, ...args], { env, encoding: "utf8" });
    return status === 0 ? stdout.trim() : undefined;
  };
  const log = git("log", "-1", "--no-show-signature", "--format=%H %ct");
  if (log === undefined) return {};
  const [commit, seconds] = log.split(" ");
  const isDirty = git("status", "--porcelain", "--untracked-files=no") !== "";
  return { commit: isDirty ? `${commit}-dirty` : commit, seconds: Number(seconds) };
}
