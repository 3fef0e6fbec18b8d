// The Debian packages of the image's base layer, with what an SBOM tells of them.
import { createHash } from "node:crypto";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { cacheDir, withLock } from "../components/apt.mjs";
import { ownSuite } from "../components/debian-sources.mjs";
import { downloadPackages } from "../components/debian-unpack.mjs";
import { downloadFromMirror } from "./debian-mirror.mjs";

/** Their copyright files, which are in the image, have the details. */
const licenses = {
  libc6: "LGPL-2.1-or-later",
  "ca-certificates": "MPL-2.0 AND GPL-2.0-or-later",
  "base-files": "GPL-2.0-or-later",
};

/**
 * The packages, downloaded once.
 *
 * @param architecture in Debian's terms: `amd64`, `arm64`
 */
export async function basePackages(architecture, env = process.env) {
  const suite = env.ENTREPOT_DEBIAN_SUITE ?? (isDebian() ? ownSuite() : "trixie");
  const mirror = env.ENTREPOT_DEBIAN_MIRROR;
  const name = `image-${suite}-${architecture}`;
  const folder = path.join(cacheDir, name);
  if (!fs.existsSync(folder)) {
    await withLock(name, async () => {
      if (!fs.existsSync(folder)) await download(folder, { suite, architecture, mirror });
    });
  }
  const files = fs.readdirSync(folder).filter((file) => file.endsWith(".deb"));
  return files.sort().map((file) => describe(path.join(folder, file), suite));
}

async function download(folder, { suite, architecture, mirror }) {
  const names = Object.keys(licenses);
  const work = fs.mkdtempSync(path.join(cacheDir, `image-${suite}.tmp-`));
  try {
    const hasApt = spawnSync("apt-get", ["--version"], { stdio: "ignore" }).status === 0;
    if (hasApt && isDebian() && mirror === undefined) {
      await downloadPackages(names, suite, work, architecture);
    } else await downloadFromMirror(names, { suite, architecture, folder: work, mirror });
    for (const entry of fs.readdirSync(work)) {
      if (!entry.endsWith(".deb")) fs.rmSync(path.join(work, entry), { recursive: true });
    }
    fs.renameSync(work, folder);
  } finally {
    fs.rmSync(work, { recursive: true, force: true });
  }
}

/** Ubuntu has other packages under the same names. */
function isDebian() {
  const file = "/etc/os-release";
  return fs.existsSync(file) && /^ID="?debian"?$/m.test(fs.readFileSync(file, "utf8"));
}

function describe(file, suite) {
  const bytes = fs.readFileSync(file);
  const control = unpackPart(bytes, "control.tar", ["-xO", "./control"]).toString("utf8");
  const field = (key) => new RegExp(`^${key}: (.*)$`, "m").exec(control)?.[1];
  const name = field("Package");
  const architecture = field("Architecture");
  const version = field("Version");
  return {
    name,
    version,
    architecture,
    /** "glibc 2.36-9" or just "glibc" */
    source: field("Source") ?? name,
    maintainer: field("Maintainer")?.replace(/ *<.*/, ""),
    homepage: field("Homepage"),
    license: licenses[name],
    sha256: createHash("sha256").update(bytes).digest("hex"),
    purl: `pkg:deb/debian/${name}@${encodeURIComponent(version)}?arch=${architecture}&distro=${suite}`,
    control,
    file,
  };
}

/** Unpacks a package's files into a folder. */
export function unpackPackage({ file }, folder) {
  fs.mkdirSync(folder, { recursive: true });
  unpackPart(fs.readFileSync(file), "data.tar", ["-x", "-C", folder]);
}

/** A package is an archive in the format ar, of two compressed tar archives. */
function unpackPart(bytes, wanted, args) {
  for (let at = 8; at + 60 <= bytes.length;) {
    const name = bytes
      .toString("latin1", at, at + 16)
      .trim()
      .replace(/\/$/, "");
    const size = Number(bytes.toString("latin1", at + 48, at + 58));
    const start = at + 60;
    if (name.startsWith(wanted)) {
      const compression = { ".xz": ["-J"], ".zst": ["--zstd"], ".gz": ["-z"] }[path.extname(name)];
      const { status, stdout, stderr, error } = spawnSync(
        "tar",
        [...(compression ?? []), ...args],
        {
          input: bytes.subarray(start, start + size),
          maxBuffer: 64 * 1024 * 1024,
        },
      );
      if (status === 0) return stdout;
      const said = error?.message ?? String(stderr).trim();
      throw new Error(`tar, which needs xz, cannot unpack a package of Debian: ${said}`);
    }
    at = start + size + (size % 2);
  }
  throw new Error(`a package of Debian has no ${wanted}: remove .cache/debian and try again`);
}
