// Brings trees of files of Debian releases, with systemd, for the tests that install packages into them.
import fs from "node:fs";
import path from "node:path";
import { cacheDir, capture, withLock } from "./apt.mjs";
import { sourceFor } from "./debian-sources.mjs";

/** What builds such a tree, and what checks packages. */
export const packagingPackages = {
  mmdebstrap: "/usr/bin/mmdebstrap",
  rpm: "/usr/bin/rpmbuild",
  lintian: "/usr/bin/lintian",
  rpmlint: "/usr/bin/rpmlint",
};

/**
 * The folder with the essential packages of a suite, systemd and CA certificates. Tests do not write to it.
 *
 * @throws Error if it cannot be built
 */
export async function ensureRootfs(suite) {
  const target = path.join(cacheDir, `rootfs-${suite}`);
  if (!fs.existsSync(target)) {
    await withLock(`rootfs-${suite}`, async () => {
      if (!fs.existsSync(target)) await build(suite, target);
    });
  }
  return target;
}

async function build(suite, target) {
  console.error(`Building a tree of Debian ${suite} with systemd`);
  const work = fs.mkdtempSync(path.join(cacheDir, `rootfs-${suite}.tmp-`));
  try {
    const sources = path.join(work, "suite.sources");
    fs.writeFileSync(sources, sourceFor(suite));
    const tree = path.join(work, "tree");
    const left = ["doc", "man", "locale", "info"].map(
      (name) => `path-exclude=/usr/share/${name}/*`,
    );
    const { code, tail } = await capture("mmdebstrap", [
      "--mode=root",
      "--variant=essential",
      "--include=systemd,init-system-helpers,ca-certificates",
      ...left.map((option) => `--dpkgopt=${option}`),
      suite,
      tree,
      sources,
    ]);
    if (code !== 0) throw new Error(`mmdebstrap ${suite}: ${tail}`);
    // They were options for the tree's own packages, to have it small.
    fs.rmSync(path.join(tree, "etc/dpkg/dpkg.cfg.d/99mmdebstrap"), { force: true });
    fs.renameSync(tree, target);
  } finally {
    fs.rmSync(work, { recursive: true, force: true });
  }
}
