// Unpacks Debian's packages into `.cache/debian` without installing them: those of another suite,
// and those that conflict with an installed one.
import fs from "node:fs";
import path from "node:path";
import { apt, cacheDir, capture, withLock } from "./apt.mjs";
import { ownSuite, sourceFor } from "./debian-sources.mjs";

/**
 * The folder into which packages are unpacked, all into one tree. Their dependencies are not
 * resolved: `packages` names what is needed.
 *
 * @param name of the folder: unpacked packages stay, so another list needs another name
 * @param architecture in Debian's terms: `amd64`, `arm64`
 * @throws Error if a package cannot be downloaded
 */
export async function ensureUnpacked(name, { packages, suite = ownSuite(), architecture }) {
  const target = path.join(cacheDir, name);
  if (!fs.existsSync(target)) {
    await withLock(name, async () => {
      if (!fs.existsSync(target)) await unpack(packages, suite, target, architecture);
    });
  }
  return target;
}

/** Downloads packages and unpacks them into a folder. */
async function unpack(packages, suite, target, architecture) {
  const work = fs.mkdtempSync(path.join(cacheDir, `${suite}.tmp-`));
  try {
    fs.mkdirSync(path.join(work, "tree"));
    for (const file of await downloadPackages(packages, suite, work, architecture)) {
      const args = ["-x", path.join(work, file), path.join(work, "tree")];
      const { code, tail } = await capture("dpkg-deb", args);
      if (code !== 0) throw new Error(`dpkg-deb -x ${file}: ${tail}`);
    }
    fs.renameSync(path.join(work, "tree"), target);
  } finally {
    fs.rmSync(work, { recursive: true, force: true });
  }
}

/**
 * Downloads packages from this machine's mirror, verified by apt, into a folder, which apt also uses for its lists.
 *
 * @returns the names of the files
 */
export async function downloadPackages(packages, suite, work, architecture) {
  const names = packages.join(" ");
  console.error(`Downloading from Debian ${suite}, to be unpacked and not installed: ${names}`);
  for (const dir of ["state/lists/partial", "cache/archives/partial", "sources"]) {
    fs.mkdirSync(path.join(work, dir), { recursive: true });
  }
  fs.writeFileSync(path.join(work, "sources/suite.sources"), sourceFor(suite));
  const options = Object.entries({
    "Dir::State": path.join(work, "state"),
    "Dir::State::status": "/var/lib/dpkg/status",
    "Dir::Cache": path.join(work, "cache"),
    "Dir::Etc::SourceList": "/dev/null",
    "Dir::Etc::SourceParts": path.join(work, "sources"),
    "Acquire::Languages": "none",
    // The user _apt may lack access to the checkout.
    "APT::Sandbox::User": "root",
    ...(architecture
      ? { "APT::Architecture": architecture, "APT::Architectures": architecture }
      : {}),
  }).flatMap(([key, value]) => ["-o", `${key}=${value}`]);
  for (const command of [["update"], ["download", ...packages]]) {
    const { code, tail } = await apt([...command, "-q", ...options], { cwd: work });
    if (code !== 0) throw new Error(`apt-get ${command.join(" ")} (${suite}): ${tail}`);
  }
  const files = fs.readdirSync(work).filter((entry) => entry.endsWith(".deb"));
  if (files.length !== packages.length) {
    throw new Error(`apt-get download ${names} (${suite}) downloaded only: ${files.join(" ")}`);
  }
  return files;
}
