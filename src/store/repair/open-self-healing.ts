import { existsSync, statSync } from "node:fs";
import { rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { DirectoryWatch } from "../directory/directory-watch.ts";
import { isReadableNevertheless, writeError } from "../directory/write-error.ts";
import type { MetadataStore } from "../metadata-store.ts";
import { removeFile } from "../remove-file.ts";
import { MetadataError, openFrozenMetadata, openMetadata } from "../sql/open-metadata.ts";
import { RebuildMarker } from "./rebuild-marker.ts";
import { SelfHealingMetadata } from "./self-healing-metadata.ts";

/**
 * The least time between two replacements, in milliseconds. If the database is damaged again sooner,
 * the disk is broken, and replacing it would not help.
 */
const REPLACE_INTERVAL = 60_000;

export interface SelfHealingOptions {
  readonly path: string;
  readonly watch: DirectoryWatch;
  /** Whether the directory can be written to, and belongs to this process. */
  readonly mayWrite: () => boolean;
  /** The database was damaged. It was moved to `path`, and an empty one was created. */
  readonly onDamaged: (path: string, reason: string) => void;
  /** The database cannot even be read, nor can another one take its place for now. */
  readonly onUnreadable: (error: unknown) => void;
}

export interface OpenedMetadata {
  readonly metadata: SelfHealingMetadata;
  readonly rebuildState: RebuildMarker;
  /** Why it can only be read for now, if it can only be read. */
  readonly unwritten?: string;
}

/**
 * Opens the metadata store. A damaged database is replaced by an empty one, which is then rebuilt. Where
 * the disk has no space for what writing needs, or nothing can be written at all, it is read only, until that is over.
 *
 * @throws MetadataError
 */
export async function openSelfHealing({
  path,
  watch,
  mayWrite,
  onDamaged,
  onUnreadable,
}: SelfHealingOptions): Promise<OpenedMetadata> {
  const rebuildState = new RebuildMarker(path);
  /** One that cannot be read is rebuilt once it can be written. Until then, registries are asked for everything. */
  const openUnwritable = (): Promise<MetadataStore> =>
    openFrozenMetadata(path).catch((error: unknown) => {
      onUnreadable(error);
      return openFrozenMetadata(":memory:");
    });
  let replacedAt = -Infinity;
  const open = async (mustCheck: boolean): Promise<MetadataStore> => {
    // The database was deleted or emptied, but the sidecar files to rebuild it are there.
    if (
      !statSync(path, { throwIfNoEntry: false })?.size &&
      existsSync(join(dirname(path), "sidecars"))
    )
      rebuildState.begin();
    try {
      const metadata = await openMetadata(path, mustCheck);
      watch.note("metadata.db");
      return metadata;
    } catch (error) {
      if (!(error instanceof MetadataError) || error.kind !== "damaged") throw error;
      if (performance.now() - replacedAt < REPLACE_INTERVAL) throw error;
      replacedAt = performance.now();
      rebuildState.begin();
      const metadata = await replaceDatabase(path);
      watch.note("metadata.db");
      onDamaged(`${path}${DAMAGED_SUFFIX}`, error.message);
      return metadata;
    }
  };
  /** Open until the end of the process. */
  const abandoned: MetadataStore[] = [];
  const reopen = async (former: MetadataStore, isFrozen: boolean): Promise<MetadataStore> => {
    if (!mayWrite()) {
      if (isFrozen) return former;
      return openUnwritable();
    }
    if (isFrozen) {
      const metadata = await open(true);
      // To close its file would release the locks that the new one has on it (fcntl(2)).
      abandoned.push(former);
      return metadata;
    }
    // SQLite deletes the log by its path when it closes, and that is another database's by now.
    if (watch.isReplaced("metadata.db")) abandoned.push(former);
    else await former.close().catch(() => {});
    // Its integrity is checked first: a disk that cannot read for a moment looks like damage as well.
    return open(true);
  };
  if (!mayWrite()) {
    watch.note("metadata.db");
    return { metadata: new SelfHealingMetadata(await openUnwritable(), reopen), rebuildState };
  }
  let unwritten: string | undefined;
  const opened = await open(false).catch(async (error: unknown) => {
    const frozen = await openFrozen(path, error);
    unwritten = error instanceof Error ? error.message : String(error);
    return frozen;
  });
  const metadata = new SelfHealingMetadata(opened, reopen);
  return { metadata, rebuildState, ...(unwritten === undefined ? {} : { unwritten }) };
}

/** @throws what kept it from being opened, unless that is a lack of space, and it can be read */
async function openFrozen(path: string, error: unknown): Promise<MetadataStore> {
  if (!(error instanceof MetadataError)) throw error;
  if (!(await isUnwritable(error, path))) throw error;
  return openFrozenMetadata(path).catch(() => {
    throw error;
  });
}

async function isUnwritable({ kind, cause }: MetadataError, path: string): Promise<boolean> {
  if (kind !== "unopenable") return kind === "unwritable";
  // Without inodes, for example, SQLite says only that it cannot open a file.
  return isReadableNevertheless(cause) || isReadableNevertheless(await writeError(dirname(path)));
}

const DAMAGED_SUFFIX = ".damaged";

/** Moves the damaged database aside, for an operator to inspect, and opens an empty one. Blobs stay. */
async function replaceDatabase(path: string): Promise<MetadataStore> {
  for (const suffix of ["", "-wal", "-shm"]) {
    await removeFile(`${path}${DAMAGED_SUFFIX}${suffix}`);
    await rename(`${path}${suffix}`, `${path}${DAMAGED_SUFFIX}${suffix}`).catch(() => {});
  }
  return openMetadata(path);
}
