// Packages the chart for a release, and the manifests that are made from it.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { root } from "../bun.mjs";
import { ensureKubectl } from "../components/kubectl.mjs";

/**
 * Writes the chart's archive into a folder and returns its path.
 *
 * @param digest of the image, which the chart then names
 */
export async function packageChart(version, digest, folder) {
  const { helm } = await ensureKubectl();
  const work = fs.mkdtempSync(path.join(os.tmpdir(), "entrepot-chart-"));
  try {
    const chart = path.join(work, "entrepot");
    fs.cpSync(path.join(root, "deploy/chart/entrepot"), chart, { recursive: true });
    // It describes the repository of charts, and not the chart.
    fs.rmSync(path.join(chart, "artifacthub-repo.yml"), { force: true });
    const values = path.join(chart, "values.yaml");
    fs.writeFileSync(values, withDigest(fs.readFileSync(values, "utf8"), digest));
    const args = ["package", chart, "--version", version, "--app-version", version];
    const { status } = spawnSync(helm, [...args, "--destination", folder], {
      stdio: ["ignore", 2, 2],
      env: { ...process.env, HOME: work },
    });
    if (status !== 0) throw new Error("helm package failed");
    return path.join(folder, `entrepot-${version}.tgz`);
  } finally {
    fs.rmSync(work, { recursive: true, force: true });
  }
}

/** values.yaml with the digest of the image. Its comments stay. */
export function withDigest(values, digest) {
  const pinned = values.replace(/^( {2}digest: )""$/m, `$1${digest}`);
  if (pinned === values) throw new Error('values.yaml has no line `  digest: ""` of the image');
  return pinned;
}

/** Manifests with the digest of the image beside its tag. */
export function pinnedManifests(text, version, digest) {
  const image = `image: ghcr.io/entrepot/entrepot:${version}`;
  const pinned = text.replaceAll(
    new RegExp(`${image.replaceAll(".", "\\.")}$`, "gm"),
    `${image}@${digest}`,
  );
  if (pinned === text) {
    throw new Error(`the manifests do not name ${image}: run npm run manifests, and commit that`);
  }
  return pinned;
}
