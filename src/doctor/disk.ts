import { linkSync, lstatSync, rmSync, statfsSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { formatSize } from "../config/parsing/units.ts";
import { type Finding, reporter } from "./finding.ts";
import { systemCode } from "../store/storage-fault.ts";
import type { Machine } from "./machine.ts";

/** Less free space than this, in bytes, is a problem. */
const LOW_SPACE = 10 * 2 ** 30;
const LOW_INODES = 100_000;
/** SQLite relies on file locks, which network and FUSE file systems do not implement reliably. */
const NETWORK =
  /^(?:nfs|nfs4|cifs|smb3|smbfs|9p|afs|ceph|glusterfs|lustre|fuse\..*|fuseblk|virtiofs)$/;
/** Their files do not survive a reboot, or the removal of the container. */
const EPHEMERAL = /^(?:tmpfs|ramfs|overlay)$/;

/**
 * Checks whether a folder can be the data directory: free space and inodes, the file system's type,
 * hard links and owners.
 *
 * @param minFree `storage.minFree` in bytes; 0 if it is not set
 */
export function diskFindings(folder: string, machine: Machine, minFree = 0): Finding[] {
  const existing = nearestExisting(folder);
  const report = reporter("disk", folder);
  const { bavail, bsize, blocks, ffree, files } = statfsSync(existing);
  const [free, size] = [bavail * bsize, blocks * bsize];
  const space = `${formatSize(free)} free of ${formatSize(size)}`;
  const findings = [report("ok", space)];
  if (free < minFree) {
    const found = `${space}, which is below storage.minFree (${formatSize(minFree)}): nothing is stored`;
    findings[0] = report("problem", found, "free some space, or lower storage.minFree");
  } else if (free < LOW_SPACE) {
    const advice =
      "free some space, or move storage.dir to a larger disk: layers of 1 GiB are common";
    findings[0] = report("problem", space, advice);
  }
  // File systems that allocate inodes dynamically, such as Btrfs, report 0.
  if (files > 0) {
    const inodes = `${ffree} inodes free of ${files}`;
    findings.push(
      ffree < LOW_INODES
        ? report(
            "problem",
            inodes,
            "every blob is a file: recreate the file system with more inodes (mkfs.ext4 -N), or use XFS",
          )
        : report("ok", inodes),
    );
  }
  const type = fileSystemOf(existing, machine);
  if (type === undefined) findings.push(report("unknown", "its file system cannot be determined"));
  else if (NETWORK.test(type)) {
    const advice = "move storage.dir to a local disk: SQLite relies on file locks";
    findings.push(report("problem", `its file system, ${type}, has no reliable locks`, advice));
  } else if (EPHEMERAL.test(type)) {
    const advice = "mount a disk or a volume there";
    findings.push(
      report("note", `its file system, ${type}, is lost with the machine or the container`, advice),
    );
  } else findings.push(report("ok", `its file system is ${type}`));
  findings.push(hardLinkFinding(folder, existing), ...ownerFindings(folder, machine));
  return findings;
}

/**
 * Finds folders of another owner. `entrepot adopt` run as root leaves them if it is killed, and the
 * service's user cannot enter them.
 */
function ownerFindings(folder: string, machine: Machine): Finding[] {
  const ownerOf = (file: string): number | undefined => {
    try {
      return lstatSync(file, { throwIfNoEntry: false })?.uid;
    } catch {
      // The check that writes to the folder reports missing permissions.
      return undefined;
    }
  };
  const owner = ownerOf(folder);
  const foreign = ["blobs", "fills", "sidecars"]
    .flatMap((name) =>
      ["", ...machine.list(path.join(folder, name))].map((child) => path.join(name, child)),
    )
    .map((name) => ({ name, uid: ownerOf(path.join(folder, name)) }))
    .find(({ uid }) => uid !== undefined && uid !== owner);
  if (!foreign) return [];
  return [
    reporter("disk", folder)(
      "note",
      `${foreign.name} is owned by user ${foreign.uid}, but the data directory by user ${owner}, who cannot use it`,
      `if the cache runs as user ${owner}, run \`chown -R ${owner} ${folder}\``,
    ),
  ];
}

/** @param existing the folder itself or, before the first start, its nearest existing parent */
function hardLinkFinding(folder: string, existing: string): Finding {
  const report = reporter("disk", folder);
  const file = path.join(existing, `.doctor-${process.pid}-a`);
  const link = path.join(existing, `.doctor-${process.pid}-b`);
  try {
    // Exclusive: as root, it never writes through a link of another user.
    writeFileSync(file, "", { flag: "wx" });
  } catch (error) {
    if (systemCode(error) === "EROFS") {
      const found =
        "its file system is mounted read-only: what is stored is served, and nothing is stored";
      const advice = "look for its errors in the kernel log (dmesg), and mount it writable";
      return report("problem", found, advice);
    }
    const advice = `run the doctor as the cache's user, or make that user the owner: \`chown -R entrepot ${folder}\``;
    return report("problem", `this user cannot write to ${existing}`, advice);
  }
  try {
    linkSync(file, link);
    return report(
      "ok",
      "hard links work: `entrepot adopt --link` can share the files of a registry:2",
    );
  } catch {
    return report(
      "note",
      "no hard links: `entrepot adopt` always copies the files of a registry:2",
    );
  } finally {
    for (const created of [file, link]) rmSync(created, { force: true });
  }
}

/** The folder itself, or its nearest parent that exists. */
export function nearestExisting(folder: string): string {
  for (let current = path.resolve(folder); ; current = path.dirname(current)) {
    if (statSync(current, { throwIfNoEntry: false })?.isDirectory()) return current;
    if (current === path.dirname(current)) return current;
  }
}

/**
 * The type of the file system that a folder is on: that of the longest mount point above it, and of
 * the last mount there, which hides earlier ones.
 */
export function fileSystemOf(folder: string, machine: Machine): string | undefined {
  let best: { point: string; type: string } | undefined;
  for (const line of machine.read("/proc/self/mountinfo")?.split("\n") ?? []) {
    // proc_pid_mountinfo(5): field 5 is the mount point, with octal escapes; the type follows " -
    // ".
    const [before = "", after = ""] = line.split(" - ");
    const point = before
      .split(" ")[4]
      ?.replaceAll(/\\(\d{3})/g, (_, octal: string) =>
        String.fromCodePoint(Number.parseInt(octal, 8)),
      );
    const [type] = after.split(" ");
    if (point === undefined || type === undefined) continue;
    const isAbove = folder === point || folder.startsWith(point === "/" ? "/" : `${point}/`);
    if (isAbove && point.length >= (best?.point.length ?? 0)) best = { point, type };
  }
  return best?.type;
}
