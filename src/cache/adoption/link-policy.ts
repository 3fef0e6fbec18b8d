import type { Stats } from "node:fs";
import type { Owner } from "../../store/directory/ownership.ts";

const ROOT = 0;

/**
 * Whether a file of the old registry may become one of the store by a hard link. Both are then one file, with
 * one owner and one mode: the user of the store has to be able to read it, and whatever changes the owner of
 * the store, as systemd's StateDirectory= and `chown -R` do, changes it for the registry.
 *
 * By default, it is one only if neither can matter: the file belongs to the user of the store, and nobody else
 * may write to it. Root's store may be given to another user later. A copy takes space, or none on file
 * systems that share blocks (Btrfs, XFS).
 *
 * @param wantsLinks whether whoever adopts accepts a change of owner
 */
export function mayHardLink(
  file: Pick<Stats, "uid" | "gid" | "mode">,
  owner: Owner,
  wantsLinks = false,
): boolean {
  if (wantsLinks) return isReadable(file, owner);
  if (owner.uid === ROOT) return false;
  const isOwn = file.uid === owner.uid && file.gid === owner.gid;
  return isOwn && isReadable(file, owner) && (file.mode & 0o022) === 0;
}

/** The groups of another user are not known: only the group of the directory counts. */
function isReadable(
  { uid, gid, mode }: Pick<Stats, "uid" | "gid" | "mode">,
  owner: Owner,
): boolean {
  if (owner.uid === ROOT) return true;
  if (uid === owner.uid) return (mode & 0o400) !== 0;
  return (mode & (gid === owner.gid ? 0o040 : 0o004)) !== 0;
}
