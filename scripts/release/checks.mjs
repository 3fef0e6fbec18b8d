// What has to be true before a version is released. Each problem says what to do.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { isVersion } from "../package/versions.mjs";

/** @returns the problems, of which a release has none */
export function releaseProblems(version, folder) {
  if (!isVersion(version)) {
    return [
      `${version} is no version of Semantic Versioning: write one such as 1.2.3 or 1.2.3-rc.1`,
    ];
  }
  return [
    ...versionProblems(version, folder),
    ...changelogProblems(version, folder),
    ...gitProblems(version, folder),
  ];
}

function versionProblems(version, folder) {
  const read = (name) => fs.readFileSync(path.join(folder, name), "utf8");
  const chart = read("deploy/chart/entrepot/Chart.yaml");
  const lock = JSON.parse(read("package-lock.json"));
  const found = [
    ["package.json", "version", JSON.parse(read("package.json")).version],
    ["package-lock.json", "version", lock.version],
    ["package-lock.json", 'packages[""].version', lock.packages[""].version],
    ["deploy/chart/entrepot/Chart.yaml", "version", valueOf(chart, "version")],
    ["deploy/chart/entrepot/Chart.yaml", "appVersion", valueOf(chart, "appVersion")],
  ];
  return found
    .filter(([, , value]) => value !== version)
    .map(([file, key, value]) => `${file}: ${key} is ${value}: set it to ${version}`);
}

/** A key at the top of a YAML file, as Chart.yaml has them. */
function valueOf(yaml, key) {
  return new RegExp(`^${key}:[ ]*["']?([^"'\\s]+)`, "m").exec(yaml)?.[1];
}

function changelogProblems(version, folder) {
  const section = changelogSection(version, folder);
  if (section === undefined) {
    return [
      `CHANGELOG.md has no section for it: rename "## [Unreleased]" to "## [${version}] - ${new Date().toISOString().slice(0, 10)}", and begin a new one above`,
    ];
  }
  return section === "" ? [`CHANGELOG.md: the section [${version}] is empty`] : [];
}

/** What CHANGELOG.md says of a version, without its heading: the release notes. */
export function changelogSection(version, folder) {
  const text = fs.readFileSync(path.join(folder, "CHANGELOG.md"), "utf8");
  const sections = text.split(/^## /m).slice(1);
  const section = sections.find((one) => one.startsWith(`[${version}]`));
  return section?.slice(section.indexOf("\n")).trim();
}

function gitProblems(version, folder) {
  const git = (...args) => spawnSync("git", ["-C", folder, ...args], { encoding: "utf8" });
  const status = git("status", "--porcelain");
  if (status.status !== 0) return [`${folder} is no git checkout: release from one`];
  const changed = status.stdout.split("\n").filter(Boolean);
  const problems = [];
  if (changed.length > 0) {
    const more = changed.length > 5 ? `\n  and ${changed.length - 5} more` : "";
    const shown = changed.slice(0, 5).map((line) => `\n  ${line}`);
    problems.push(`the checkout has changes: commit or remove them first${shown.join("")}${more}`);
  }
  const tagged = git("rev-parse", "--quiet", "--verify", `refs/tags/v${version}^{commit}`);
  const head = git("rev-parse", "HEAD").stdout.trim();
  // The workflow runs on the tag itself.
  if (tagged.status === 0 && tagged.stdout.trim() !== head) {
    problems.push(
      `v${version} is tagged already, at ${tagged.stdout.trim().slice(0, 12)}: release another version, or check that tag out`,
    );
  }
  return problems;
}
