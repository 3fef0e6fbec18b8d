import { expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { changelogSection, releaseProblems } from "../../scripts/release/checks.mjs";
import { pinnedManifests, withDigest } from "../../scripts/release/chart.mjs";
import { packageVersion } from "../../scripts/package/versions.mjs";
import { mustRun } from "../harness/processes.ts";
import { type TempDir, tempDir } from "../harness/temp-dir.ts";

const CHANGELOG = `# Changelog

## [Unreleased]

## [1.2.3] - 2026-01-02

### Added

- A thing.

## [1.2.2] - 2026-01-01

`;

/** A checkout that can be released as 1.2.3. */
async function checkout(): Promise<TempDir> {
  const dir = await tempDir("release");
  const write = (name: string, text: string): void => writeFileSync(dir.file(name), text);
  mkdirSync(dir.file("deploy/chart/entrepot"), { recursive: true });
  write("package.json", '{ "version": "1.2.3" }');
  write("package-lock.json", '{ "version": "1.2.3", "packages": { "": { "version": "1.2.3" } } }');
  write("deploy/chart/entrepot/Chart.yaml", 'version: 1.2.3\nappVersion: "1.2.3"\n');
  write("CHANGELOG.md", CHANGELOG);
  const git = (...args: string[]) => mustRun(["git", "-C", dir.path, ...args]);
  await git("init", "-q");
  await git("config", "user.email", "test@example.com");
  await git("config", "user.name", "test");
  await git("add", "-A");
  await git("commit", "-qm", "all");
  return dir;
}

test("a release is refused for each thing that is missing, with what to do", async () => {
  await using dir = await checkout();
  const git = (...args: string[]) => mustRun(["git", "-C", dir.path, ...args]);
  expect(releaseProblems("1.2.3", dir.path)).toEqual([]);
  // The workflow runs on the tag itself.
  await git("tag", "v1.2.3");
  expect(releaseProblems("1.2.3", dir.path)).toEqual([]);
  await git("commit", "-q", "--allow-empty", "-m", "later");
  expect(releaseProblems("1.2.3", dir.path)).toEqual([
    expect.stringMatching(/^v1\.2\.3 is tagged already, at [0-9a-f]{12}: release another version/),
  ]);
  expect(releaseProblems("v1.2.3", dir.path)).toEqual([
    "v1.2.3 is no version of Semantic Versioning: write one such as 1.2.3 or 1.2.3-rc.1",
  ]);
  const [, , , , , changelog] = releaseProblems("1.2.4", dir.path);
  expect(releaseProblems("1.2.4", dir.path).slice(0, 5)).toEqual([
    "package.json: version is 1.2.3: set it to 1.2.4",
    "package-lock.json: version is 1.2.3: set it to 1.2.4",
    'package-lock.json: packages[""].version is 1.2.3: set it to 1.2.4',
    "deploy/chart/entrepot/Chart.yaml: version is 1.2.3: set it to 1.2.4",
    "deploy/chart/entrepot/Chart.yaml: appVersion is 1.2.3: set it to 1.2.4",
  ]);
  expect(changelog).toStartWith('CHANGELOG.md has no section for it: rename "## [Unreleased]"');
  expect(releaseProblems("1.2.2", dir.path)).toContain(
    "CHANGELOG.md: the section [1.2.2] is empty",
  );
  await git("tag", "-d", "v1.2.3");
  writeFileSync(dir.file("new"), "");
  expect(releaseProblems("1.2.3", dir.path)).toEqual([
    "the checkout has changes: commit or remove them first\n  ?? new",
  ]);
  expect(changelogSection("1.2.3", dir.path)).toBe("### Added\n\n- A thing.");
});

test("a version has the form that packages sort rightly", () => {
  expect(packageVersion("1.2.3")).toBe("1.2.3");
  expect(packageVersion("1.2.3-rc.1")).toBe("1.2.3~rc.1");
  expect(packageVersion("1.2.3-rc-a.1")).toBe("1.2.3~rc.a.1");
  for (const wrong of ["1.2", "01.2.3", "1.2.3+build", "1.2.3-01", "v1.2.3", "1.2.3 "])
    expect(() => packageVersion(wrong), wrong).toThrow("is no version such as");
});

test("the chart of a release names the image by its digest", async () => {
  const values = await Bun.file("deploy/chart/entrepot/values.yaml").text();
  const digest = `sha256:${"0".repeat(64)}`;
  const lines = values.split("\n");
  const changed = withDigest(values, digest)
    .split("\n")
    .filter((line, at) => line !== lines[at]);
  expect(changed).toEqual([`  digest: ${digest}`]);
  expect(() => withDigest("image: {}", digest)).toThrow("no line");
});

test("the manifests of a release name every image by its digest", async () => {
  const { version } = await Bun.file("package.json").json();
  const digest = `sha256:${"0".repeat(64)}`;
  for (const name of ["entrepot", "entrepot-nodes", "entrepot-unwire"]) {
    const text = await Bun.file(`deploy/kubernetes/${name}.yaml`).text();
    const images = [...pinnedManifests(text, version, digest).matchAll(/^ +image: (.*)$/gm)];
    expect(images.length).toBeGreaterThan(0);
    for (const [, image] of images) {
      expect(image).toBe(`ghcr.io/entrepot/entrepot:${version}@${digest}`);
    }
    expect(() => pinnedManifests(text, "9.9.9", digest)).toThrow("run npm run manifests");
  }
});
