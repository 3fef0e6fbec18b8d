// Builds a package for Debian and its relatives.
import { createHash } from "node:crypto";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { thirdPartyNotices } from "./licences.mjs";
import { mustRun } from "./programs.mjs";
import { gzip, settle, writeFile, writeTree } from "./tree.mjs";
import { architectures, packageVersion } from "./versions.mjs";

const MAINTAINER = "Entrepot maintainers <entrepot@users.noreply.github.com>";
const APACHE = "/usr/share/common-licenses/Apache-2.0";

/**
 * Writes a package into a folder and returns its path.
 *
 * @param built `{ arch, version, epoch, executable, share }`
 * @param compression dpkg-deb's options; tests take one that is faster
 */
export function buildDebian(built, folder, compression = ["-Zxz"]) {
  const { arch, version, epoch } = built;
  const { debian } = architectures[arch];
  const revision = `${packageVersion(version)}-1`;
  const work = fs.mkdtempSync(path.join(os.tmpdir(), "entrepot-deb-"));
  try {
    const tree = path.join(work, "tree");
    const { put, from } = writeTree(tree, { ...built, style: "debian" });
    const doc = "usr/share/doc/entrepot";
    put(`${doc}/copyright`, copyright());
    put(`${doc}/changelog.gz`, gzip(from("CHANGELOG.md")));
    put(`${doc}/changelog.Debian.gz`, gzip(changelog(revision, epoch)));
    put("usr/share/lintian/overrides/entrepot", from("deploy/packages/debian/lintian-overrides"));
    const size = Math.ceil(sizeOf(tree) / 1024);
    const meta = path.join(tree, "DEBIAN");
    const sums = md5sums(tree);
    writeFile(path.join(meta, "md5sums"), sums);
    writeFile(path.join(meta, "conffiles"), "/etc/entrepot/entrepot.yaml\n");
    writeFile(path.join(meta, "control"), control(debian, revision, size));
    for (const script of ["postinst", "prerm", "postrm"]) {
      writeFile(path.join(meta, script), from(`deploy/packages/debian/${script}`), 0o755);
    }
    settle(tree, epoch);
    fs.mkdirSync(folder, { recursive: true });
    const file = path.join(folder, `entrepot_${revision}_${debian}.deb`);
    mustRun("dpkg-deb", ["--root-owner-group", ...compression, "--build", tree, file], {
      env: { ...process.env, SOURCE_DATE_EPOCH: String(epoch) },
    });
    return file;
  } finally {
    fs.rmSync(work, { recursive: true, force: true });
  }
}

function control(architecture, version, size) {
  return `Package: entrepot
Version: ${version}
Architecture: ${architecture}
Maintainer: ${MAINTAINER}
Installed-Size: ${size}
Depends: libc6 (>= 2.17), init-system-helpers (>= 1.54~), systemd | systemd-standalone-sysusers | systemd-sysusers
Recommends: ca-certificates
Section: net
Priority: optional
Homepage: https://github.com/entrepot/entrepot
Description: pull-through cache for container registries
 Entrepot answers the pulls of container runtimes from its own store, and
 downloads from the registry what it does not have yet: one process for all
 registries. The same program wires containerd, Docker, CRI-O and Podman of
 a node to the cache, and takes the wiring back.
 .
 The cache is started after the installation, at port 5000. The watcher of a
 node (entrepot-node-watch.service) is not.
`;
}

function changelog(version, epoch) {
  // RFC 2822, as dpkg has it.
  const date = new Date(epoch * 1000).toUTCString().replace("GMT", "+0000");
  return `entrepot (${version}) unstable; urgency=medium

  * New upstream version: /usr/share/doc/entrepot/changelog.gz says what has
    changed.

 -- ${MAINTAINER}  ${date}
`;
}

function copyright() {
  return `Entrepot: https://github.com/entrepot/entrepot

Copyright: the contributors to Entrepot

Licensed under the Apache License, Version 2.0. On Debian systems, its text is
in ${APACHE}. The texts of the GNU Library General Public License 2
and the GNU Lesser General Public License 2.1 are in
/usr/share/common-licenses/LGPL-2 and /usr/share/common-licenses/LGPL-2.1.

The executable contains what follows.

${thirdPartyNotices(APACHE)}`;
}

function files(folder) {
  return fs
    .readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)))
    .sort();
}

function md5sums(tree) {
  // dpkg lists the sums of files that are not configuration.
  const listed = files(tree).filter((name) => !name.startsWith("etc/"));
  const sum = (name) =>
    createHash("md5")
      .update(fs.readFileSync(path.join(tree, name)))
      .digest("hex");
  return `${listed.map((name) => `${sum(name)}  ${name}`).join("\n")}\n`;
}

function sizeOf(tree) {
  return files(tree).reduce((sum, name) => sum + fs.statSync(path.join(tree, name)).size, 0);
}
