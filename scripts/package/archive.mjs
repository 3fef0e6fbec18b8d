// Builds an archive for machines without a package manager that Entrepot has packages for.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { root } from "../bun.mjs";
import { thirdPartyNotices } from "./licences.mjs";
import { mustRun } from "./programs.mjs";
import { gzip, settle, writeFile } from "./tree.mjs";

/**
 * Writes an archive into a folder and returns its path.
 *
 * @param built `{ arch, version, epoch, executable, share }`
 */
export function buildArchive({ arch, version, epoch, executable, share }, folder) {
  const name = `entrepot-${version}-linux-${arch}`;
  const work = fs.mkdtempSync(path.join(os.tmpdir(), "entrepot-archive-"));
  try {
    const tree = path.join(work, name);
    fs.mkdirSync(tree);
    fs.copyFileSync(executable, path.join(tree, "entrepot"));
    fs.chmodSync(path.join(tree, "entrepot"), 0o755);
    for (const file of ["LICENSE", "README.md", "CHANGELOG.md"]) {
      writeFile(path.join(tree, file), fs.readFileSync(path.join(root, file)));
    }
    writeFile(path.join(tree, "NOTICES"), thirdPartyNotices("LICENSE"));
    fs.cpSync(share, path.join(tree, "share"), { recursive: true });
    fs.cpSync(path.join(root, "deploy/systemd"), path.join(tree, "systemd"), { recursive: true });
    const config = fs.readFileSync(path.join(root, "deploy/packages/entrepot.yaml"));
    writeFile(path.join(tree, "entrepot.yaml"), config);
    settle(tree, epoch);
    const tar = path.join(work, "archive.tar");
    const reproducible = ["--sort=name", "--owner=0", "--group=0", "--numeric-owner"];
    const mode = ["--format=gnu", "--mode=u=rwX,go=rX"];
    mustRun("tar", ["-cf", tar, ...reproducible, ...mode, "-C", work, name]);
    fs.mkdirSync(folder, { recursive: true });
    const file = path.join(folder, `${name}.tar.gz`);
    fs.writeFileSync(file, gzip(fs.readFileSync(tar)));
    return file;
  } finally {
    fs.rmSync(work, { recursive: true, force: true });
  }
}
