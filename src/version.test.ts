import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sourceRevision } from "../scripts/revision.mjs";
import manifest from "../package.json" with { type: "json" };
import { revision, versionText } from "./version.ts";

const COMMIT = "5f1c0b7a9d3e2f4a6b8c0d1e2f3a4b5c6d7e8f90";
const DATE = "2026-03-04T05:06:07.000Z";

function git(folder: string, ...args: readonly string[]): string {
  const identity = ["-c", "user.name=a", "-c", "user.email=a@test"];
  const env = { ...process.env, GIT_AUTHOR_DATE: DATE, GIT_COMMITTER_DATE: DATE };
  const { stdout, stderr, exitCode } = Bun.spawnSync(["git", "-C", folder, ...identity, ...args], {
    env,
  });
  if (exitCode !== 0) throw new Error(String(stderr));
  return String(stdout).trim();
}

function withCheckout(
  check: (folder: string, commit: string) => Promise<void>,
): () => Promise<void> {
  return async () => {
    const folder = mkdtempSync(join(tmpdir(), "entrepot-version-"));
    try {
      mkdirSync(join(folder, "bin"));
      writeFileSync(join(folder, "bin/entrepot"), "");
      git(folder, "init", "--quiet");
      git(folder, "add", ".");
      git(folder, "commit", "--quiet", "--message", "first");
      await check(folder, git(folder, "rev-parse", "HEAD"));
    } finally {
      rmSync(folder, { recursive: true });
    }
  };
}

test(
  "a checkout tells its commit, also while a hook of git names another repository",
  withCheckout(async (folder, commit) => {
    process.env["GIT_DIR"] = "/nowhere";
    try {
      const main = join(folder, "src/main.ts");
      expect(await revision(main)).toEqual({ commit, date: DATE });
      expect(sourceRevision(folder, {})).toMatchObject({ commit });
    } finally {
      delete process.env["GIT_DIR"];
    }
  }),
);

test(
  "sources without a repository do not tell the commit of one around them",
  withCheckout(async (folder) => {
    const inner = join(folder, "inner");
    mkdirSync(join(inner, "bin"), { recursive: true });
    writeFileSync(join(inner, "bin/entrepot"), "");
    expect(await revision(join(inner, "src/main.ts"))).toBeUndefined();
    expect(sourceRevision(inner, {})).toEqual({ epoch: 0, date: "1970-01-01T00:00:00Z" });
  }),
);

test(
  "a build bears the commit's date, or SOURCE_DATE_EPOCH, and says that files had been changed",
  withCheckout(async (folder, commit) => {
    const epoch = Date.parse(DATE) / 1000;
    const date = "2026-03-04T05:06:07Z";
    expect(sourceRevision(folder, {})).toEqual({ commit, epoch, date });
    const told = { epoch: 1, date: "1970-01-01T00:00:01Z" };
    expect(sourceRevision(folder, { SOURCE_DATE_EPOCH: "1" })).toEqual({ commit, ...told });
    writeFileSync(join(folder, "bin/entrepot"), "changed");
    expect(sourceRevision(folder, {}).commit).toBe(`${commit}-dirty`);
    for (const wrong of ["", "yesterday", "-1", "1.5", "4294967296", "99999999999"]) {
      expect(() => sourceRevision(folder, { SOURCE_DATE_EPOCH: wrong })).toThrow(
        `SOURCE_DATE_EPOCH is "${wrong}": it must be a whole number of seconds since 1970`,
      );
    }
  }),
);

test.each([
  [undefined, ""],
  [{ commit: COMMIT, date: DATE }, " (commit 5f1c0b7a9d3e, 2026-03-04)"],
  [{ commit: `${COMMIT}-dirty`, date: DATE }, " (commit 5f1c0b7a9d3e-dirty, 2026-03-04)"],
  [{ date: DATE }, " (2026-03-04)"],
])("--version of %p", (built, expected) => {
  expect(versionText(built)).toBe(`${manifest.version}${expected}`);
});
