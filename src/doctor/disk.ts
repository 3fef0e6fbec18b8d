import { linkSync, lstatSync, rmSync, statfsSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { formatSize } from "../config/parsing/units.ts";
import { about, type Finding } from "./finding.ts";
import type { Machine } from "./machine.ts";

const LITTLE_SPACE = 10 * 2 ** 30;
const LITTLE_INODES = 100_000;
/** Their locks are not to be relied on, which SQLite does. */
const NETWORK =
  /^(?:nfs|nfs4|cifs|smb3|smbfs|9p|afs|ceph|glusterfs|lustre|fuse\..*|fuseblk|virtiofs)$/;
const PASSING = /^(?:tmpfs|ramfs|overlay)$/;

/**
 * Whether a folder can hold the cache.
 *
 * @param minFree bytes that are to stay free, where that is set
 */
export function diskFindings(folder: string, machine: Machine, minFree = 0): Finding[] {
  const there = existing(folder);
  const report = about("disk", folder);
  const { bavail, bsize, blocks, ffree, files } = statfsSync(there);
  const [free, size] = [bavail * bsize, blocks * bsize];
  const space = `${formatSize(free)} free of ${formatSize(size)}`;
  const findings = [report("ok", space)];
  if (free < minFree) {
    const found = `${space}, and ${formatSize(minFree)} are to stay free: nothing is stored`;
    findings[0] = report("problem", found, "free some, or set storage.minFree to less");
  } else if (free < LITTLE_SPACE) {
    const advice = "free some, or set storage.dir to a larger disk: layers of 1 GiB are common";
    findings[0] = report("problem", space, advice);
  }
  // File systems that make inodes as they need them tell 0.
  if (files > 0) {
    const inodes = `${ffree} inodes free of ${files}`;
    findings.push(
      ffree < LITTLE_INODES
        ? report(
            "problem",
            inodes,
            "every blob is a file: make the file system anew with more inodes (mkfs.ext4 -N), or use XFS",
          )
        : report("ok", inodes),
    );
  }
  const type = fileSystemOf(there, machine);
  if (type === undefined) findings.push(report("unknown", "its file system cannot be told"));
  else if (NETWORK.test(type)) {
    const advice = "keep storage.dir on a local disk: SQLite's locks do not hold over a network";
    findings.push(report("problem", `its file system, ${type}, is a network's`, advice));
  } else if (PASSING.test(type)) {
    const advice = "mount a disk or a volume there";
    findings.push(
      report("note", `its file system, ${type}, is gone with the machine or the container`, advice),
    );
  } else findings.push(report("ok", `its file system is ${type}`));
  findings.push(hardLinks(folder, there), ...foreignFolders(folder, machine));
  return findings;
}

/** As root leaves them that is killed under an adoption: the service's user cannot enter them. */
function foreignFolders(folder: string, machine: Machine): Finding[] {
  const ownerOf = (file: string): number | undefined => {
    try {
      return lstatSync(file, { throwIfNoEntry: false })?.uid;
    } catch {
      // It is told elsewhere that this user may not look.
      return undefined;
    }
  };
  const owner = ownerOf(folder);
  const stranger = ["blobs", "fills", "sidecars"]
    .flatMap((name) =>
      ["", ...machine.list(path.join(folder, name))].map((below) => path.join(name, below)),
    )
    .map((name) => ({ name, uid: ownerOf(path.join(folder, name)) }))
    .find(({ uid }) => uid !== undefined && uid !== owner);
  if (!stranger) return [];
  return [
    about("disk", folder)(
      "note",
      `${stranger.name} is of user ${stranger.uid}, and the folder of user ${owner}, who cannot use it`,
      `if the cache runs as user ${owner}: chown -R ${owner} ${folder}`,
    ),
  ];
}

function hardLinks(folder: string, there: string): Finding {
  const report = about("disk", folder);
  const [one, other] = ["a", "b"].map((name) => path.join(there, `.doctor-${process.pid}-${name}`));
  if (one === undefined || other === undefined) throw new Error("two names make two paths");
  try {
    writeFileSync(one, "");
  } catch {
    const advice = `run the doctor as the user that runs the cache, or give it the folder: chown -R entrepot ${folder}`;
    return report("problem", `${there} cannot be written to by this user`, advice);
  }
  try {
    linkSync(one, other);
    return report("ok", "hard links work: a registry:2's data is adopted without a copy");
  } catch {
    return report("note", "no hard links here: a registry:2's data is copied when it is adopted");
  } finally {
    for (const file of [one, other]) rmSync(file, { force: true });
  }
}

/** The folder itself, or the nearest above it that is there. */
function existing(folder: string): string {
  for (let current = path.resolve(folder); ; current = path.dirname(current)) {
    if (statSync(current, { throwIfNoEntry: false })?.isDirectory()) return current;
    if (current === path.dirname(current)) return current;
  }
}

/** Of the longest mount point above a folder; the last one there hides those before. */
export function fileSystemOf(folder: string, machine: Machine): string | undefined {
  let found: { point: string; type: string } | undefined;
  for (const line of machine.read("/proc/self/mountinfo")?.split("\n") ?? []) {
    const [before = "", after = ""] = line.split(" - ");
    const point = before
      .split(" ")[4]
      ?.replaceAll(/\\(\d{3})/g, (_, octal: string) =>
        String.fromCodePoint(Number.parseInt(octal, 8)),
      );
    const [type] = after.split(" ");
    if (point === undefined || type === undefined) continue;
    const isAbove = folder === point || folder.startsWith(point === "/" ? "/" : `${point}/`);
    if (isAbove && point.length >= (found?.point.length ?? 0)) found = { point, type };
  }
  return found?.type;
}
