// `node scripts/release.mjs VERSION`: makes everything that a release consists of, in dist/release, and says what would be
// pushed where. It pushes nothing. `--dry-run` checks and lists, and builds nothing.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { root } from "./bun.mjs";
import { ensureInstalled } from "./install.mjs";
import { buildPackages } from "./package.mjs";
import { sha256, writeChecksums } from "./package/checksums.mjs";
import { architectures } from "./package/versions.mjs";
import { packageChart, pinnedManifests } from "./release/chart.mjs";
import { changelogSection, releaseProblems } from "./release/checks.mjs";

const USAGE = `Usage: node scripts/release.mjs VERSION [--dry-run] [--output FOLDER]

  VERSION      such as 1.2.3 or 1.2.3-rc.1: the one in package.json
  --dry-run    checks, and says what would be made and pushed, without building
  --output     where it is made (default: dist/release)
`;
const IMAGE = "ghcr.io/entrepot/entrepot";
const CHARTS = "ghcr.io/entrepot/charts";

const told = (text) => process.stderr.write(`release: ${text}\n`);

/** Tags of an image: a version that leads up to another one has its own alone. */
function tagsOf(version) {
  if (version.includes("-")) return [version];
  const [major, minor] = version.split(".");
  return [version, `${major}.${minor}`, major];
}

async function make(version, folder) {
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder, { recursive: true });
  const packages = buildPackages(folder, {
    kinds: ["deb", "rpm", "archive"],
    archs: Object.keys(architectures),
    told,
  }).filter((file) => path.basename(file) !== "SHA256SUMS");
  told("image");
  const digest = buildImage(folder);
  told("chart");
  const chart = await packageChart(version, digest, folder);
  told("manifests, release notes, checksums");
  const manifests = ["entrepot.yaml", "entrepot-nodes.yaml", "entrepot-unwire.yaml"].map((name) => {
    const text = fs.readFileSync(path.join(root, "deploy/kubernetes", name), "utf8");
    fs.writeFileSync(path.join(folder, name), pinnedManifests(text, version, digest));
    return path.join(folder, name);
  });
  const notes = path.join(folder, "release-notes.md");
  fs.writeFileSync(notes, `${changelogSection(version, root)}\n`);
  fs.writeFileSync(path.join(folder, "image-digest"), `${digest}\n`);
  // What the image's build has written beside its layout: documents of its parts.
  const known = new Set([
    ...packages,
    chart,
    ...manifests,
    notes,
    path.join(folder, "image-digest"),
  ]);
  const documents = fs
    .readdirSync(folder)
    .filter((name) => name.endsWith(".json"))
    .map((name) => path.join(folder, name))
    .filter((file) => !known.has(file));
  const assets = [...packages, chart, ...manifests, ...documents];
  return { digest, assets: [...assets, writeChecksums(folder, assets)] };
}

/** Builds the layout of all architectures, and returns the digest of its index. */
function buildImage(folder) {
  const { status, stdout } = spawnSync(
    process.execPath,
    [path.join(root, "scripts/image.mjs"), "--output", folder],
    { stdio: ["ignore", "pipe", 2], encoding: "utf8" },
  );
  const digest = /^\S*entrepot-image {2}(sha256:[0-9a-f]{64})$/m.exec(stdout)?.[1];
  if (status !== 0 || digest === undefined) throw new Error("the image was not built");
  return digest;
}

function table(rows) {
  const widths = rows[0].map((_, at) => Math.max(...rows.map((row) => row[at].length)));
  return rows
    .map((row) =>
      row
        .map((cell, at) => cell.padEnd(widths[at]))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** What would be pushed where. The workflow .github/workflows/release.yml does it. */
function plan(version) {
  const rows = tagsOf(version).map((tag) => ["image", `${IMAGE}:${tag}`]);
  rows.push(["SBOMs, provenance", `${IMAGE}, as referrers of the image`]);
  rows.push(["chart", `${CHARTS}/entrepot:${version}`]);
  rows.push([
    "all files of SHA256SUMS",
    `https://github.com/entrepot/entrepot/releases/tag/v${version}`,
  ]);
  return table(rows);
}

async function main(args) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      "dry-run": { type: "boolean" },
      output: { type: "string" },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  const [version, ...others] = positionals;
  if (version === undefined || others.length > 0) {
    process.stderr.write(USAGE);
    return 2;
  }
  const problems = releaseProblems(version, root);
  if (problems.length > 0) {
    process.stderr.write(`${version} cannot be released:\n`);
    for (const problem of problems) process.stderr.write(`- ${problem}\n`);
    return 1;
  }
  if (values["dry-run"]) {
    console.log(`${version} can be released. It would be pushed:\n\n${plan(version)}`);
    return 0;
  }
  ensureInstalled();
  const folder = path.resolve(values.output ?? path.join(root, "dist/release"));
  const { digest, assets } = await make(version, folder);
  const rows = assets.map((file) => [
    path.basename(file),
    `${(fs.statSync(file).size / 1e6).toFixed(1)} MB`,
    sha256(file).slice(0, 16),
  ]);
  console.log(table([["file", "size", "sha256"], ...rows]));
  console.log(`\nimage  ${digest}\n\nNothing has been pushed. It would be:\n\n${plan(version)}`);
  return 0;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
