// Builds a package for Fedora, RHEL, SUSE and their relatives.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { root } from "../bun.mjs";
import { thirdPartyNotices } from "./licences.mjs";
import { mustRun } from "./programs.mjs";
import { settle, writeTree } from "./tree.mjs";
import { architectures, packageVersion } from "./versions.mjs";

/**
 * Writes a package into a folder and returns its path.
 *
 * @param built `{ arch, version, epoch, executable, share }`
 * @param payload how rpm compresses the files; tests take a way that is faster
 */
export function buildRpm(built, folder, payload = "w6T1.xzdio") {
  const { arch, version, epoch } = built;
  const { rpm } = architectures[arch];
  const work = fs.mkdtempSync(path.join(os.tmpdir(), "entrepot-rpm-"));
  try {
    const stage = path.join(work, "stage");
    const { put, from } = writeTree(stage, { ...built, style: "rpm" });
    const licences = "usr/share/licenses/entrepot";
    put(`${licences}/LICENSE`, from("LICENSE"));
    put(`${licences}/NOTICES`, thirdPartyNotices(`/${licences}/LICENSE`));
    put("usr/share/doc/entrepot/CHANGELOG.md", from("CHANGELOG.md"));
    settle(stage, epoch);
    const macros = {
      _topdir: path.join(work, "top"),
      _rpmdir: path.join(work, "out"),
      _rpmfilename: "%{name}-%{version}-%{release}.%{arch}.rpm",
      // Debian's rpm has the folder of its own machine's architecture here.
      _dbpath: path.join(work, "db"),
      stage,
      package_version: packageVersion(version),
      package_date: changelogDate(epoch),
      package_payload: payload,
    };
    const defines = Object.entries(macros).flatMap(([name, value]) => ["-D", `${name} ${value}`]);
    const spec = path.join(root, "deploy/packages/rpm/entrepot.spec");
    mustRun("rpmbuild", ["-bb", "--quiet", "--target", `${rpm}-linux`, ...defines, spec], {
      env: { ...process.env, SOURCE_DATE_EPOCH: String(epoch), HOME: work, LC_ALL: "C.UTF-8" },
    });
    const name = `entrepot-${packageVersion(version)}-1.${rpm}.rpm`;
    fs.mkdirSync(folder, { recursive: true });
    fs.copyFileSync(path.join(work, "out", name), path.join(folder, name));
    return path.join(folder, name);
  } finally {
    fs.rmSync(work, { recursive: true, force: true });
  }
}

/** rpm refuses dates before 1990; sources without git have that of 1970. */
const EARLIEST = Date.UTC(1990, 0, 2) / 1000;

/** As rpm's changelogs have it: Thu Jan 01 2026. */
function changelogDate(epoch) {
  const [weekday, day, month, year] = new Date(Math.max(epoch, EARLIEST) * 1000)
    .toUTCString()
    .split(/,? /);
  return `${weekday} ${month} ${day} ${year}`;
}
