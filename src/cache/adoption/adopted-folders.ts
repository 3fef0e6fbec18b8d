import { readFileSync, renameSync } from "node:fs";
import { stat } from "node:fs/promises";
import { join, sep } from "node:path";
import { z } from "zod";
import type { UpstreamName } from "../../oci/names.ts";
import { printable } from "../../printable.ts";
import { replaceFile } from "../../store/replace-file.ts";
import { AdoptionError, type RegistryRoot } from "./registry-v2-layout.ts";

/** The file in the data directory that names the folders that were adopted. */
const FILE = "adopted.json";
/** The oldest are forgotten. */
const MAX_FOLDERS = 1000;

const adoptedFolder = z.object({
  upstream: z.string(),
  path: z.string(),
  device: z.number(),
  inode: z.number(),
  bornAt: z.number(),
});
const adoptedFile = z.object({ folders: z.array(adoptedFolder) });

type AdoptedFolder = z.infer<typeof adoptedFolder>;
/** What tells one folder from another, also under another name or after a reboot. */
export type FolderIdentity = Omit<AdoptedFolder, "upstream">;

/** What is adopted, and how. */
export interface AdoptRequest {
  readonly folder: string;
  readonly upstream: UpstreamName;
  /** Whether a folder is adopted that was adopted for another upstream, too. */
  readonly shared?: boolean | undefined;
  /** Whether hard links are made where a copy would be safer: see `mayHardLink`. */
  readonly link?: boolean | undefined;
}

/** @param path without symbolic links */
export async function identityOf(path: string): Promise<FolderIdentity> {
  const { dev, ino, birthtimeMs } = await stat(path);
  return { path, device: dev, inode: ino, bornAt: birthtimeMs };
}

/**
 * Whether two are one folder, or one is in the other. A folder that was deleted and made anew is another
 * one, even at the same path; numbers of devices may change with a reboot.
 */
export function areShared(one: FolderIdentity, other: FolderIdentity): boolean {
  const isSame = one.inode === other.inode && one.bornAt === other.bornAt;
  if (isSame && (one.path === other.path || one.device === other.device)) return true;
  const isInside = (inner: string, outer: string): boolean => inner.startsWith(outer + sep);
  return isInside(one.path, other.path) || isInside(other.path, one.path);
}

/**
 * Records that a folder is adopted, before its first image is, so that an adoption that is killed counts. A
 * registry does not record whose images it holds: a folder that is adopted for a second upstream has the
 * images of the first answer for those of the second.
 *
 * @throws AdoptionError if it was adopted for another upstream, and `shared` is not set
 */
export async function recordAdoption(
  dataDirectory: string,
  { root }: RegistryRoot,
  { folder, upstream, shared = false }: AdoptRequest,
): Promise<void> {
  const identity = await identityOf(root);
  const earlier = read(dataDirectory);
  const others = earlier.filter(
    (other) => other.upstream !== upstream && areShared(other, identity),
  );
  if (others.length > 0 && !shared) {
    const names = [...new Set(others.map((other) => other.upstream))].join(", ");
    throw new AdoptionError(
      `${printable(folder)} was adopted for ${names}: adopted for ${upstream} as well, images of one registry would answer for those of the other. If it holds images of both, and you want that, add --shared`,
    );
  }
  const kept = earlier.filter(
    (other) => other.upstream !== upstream || !areShared(other, identity),
  );
  const folders = [...kept, { upstream, ...identity }].slice(-MAX_FOLDERS);
  const file = join(dataDirectory, FILE);
  replaceFile(`${file}.new`, `${JSON.stringify({ folders }, undefined, 2)}\n`, true);
  renameSync(`${file}.new`, file);
}

/** A file that is missing or damaged holds nothing: the data directory is usable without it. */
function read(dataDirectory: string): AdoptedFolder[] {
  try {
    const text = readFileSync(join(dataDirectory, FILE), "utf8");
    return adoptedFile.parse(JSON.parse(text)).folders;
  } catch {
    return [];
  }
}
