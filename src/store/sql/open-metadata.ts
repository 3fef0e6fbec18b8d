import { Fault } from "../../oci/fault.ts";
import { SqlAccess } from "./sql-access.ts";
import { SqlVisibility } from "./sql-visibility.ts";
import { SqlBlobRecords } from "./sql-blob-records.ts";
import type { MetadataStore } from "../metadata-store.ts";
import { SqlLinks } from "./sql-links.ts";
import { SqlListings } from "./sql-listings.ts";
import { migrate, NewerSchemaError } from "./migrations.ts";
import { SqlHistory } from "./history/sql-history.ts";
import { SqlPins } from "./sql-pins.ts";
import { CachedLinks } from "../memory/cached-links.ts";
import { CachedTags } from "../memory/cached-tags.ts";
import { isDamage, lacksSharedMemory, lacksSpace, SqliteFile } from "./sqlite-file.ts";
import { SqlTags } from "./sql-tags.ts";
import { SqlOverrides } from "./tag-policy/sql-overrides.ts";
import { SqlTagHistory } from "./tag-policy/sql-tag-history.ts";
import { SqlVerifications } from "./tag-policy/sql-verifications.ts";
import { describeSystemError } from "../storage-fault.ts";

/** The metadata database cannot be used. Its file was not changed. The message says what to do. */
export class MetadataError extends Error {
  override readonly name = "MetadataError";

  constructor(
    readonly kind: "damaged" | "newer" | "unwritable" | "unopenable",
    readonly path: string,
    message: string,
    options: ErrorOptions,
  ) {
    super(message, options);
  }
}

/**
 * Opens the metadata store in a SQLite file, which is created if it is missing, and migrates it to
 * the current schema. `:memory:` opens one in memory, for tests.
 *
 * @param mustCheck checks its integrity first, however long that takes
 * @throws MetadataError
 */
export async function openMetadata(path: string, mustCheck = false): Promise<MetadataStore> {
  let file: SqliteFile | undefined;
  try {
    file = new SqliteFile(path);
    await file.check(mustCheck);
    await migrate(file.mainThreadDb);
    return metadataOver(file);
  } catch (cause) {
    await file?.close();
    throw metadataError(path, cause);
  }
}

/**
 * Opens a file to read it only, where there is no space for what `openMetadata` needs, or nothing can be written
 * at all. `:memory:` opens one in which nothing is known, nor can be written.
 *
 * @throws MetadataError
 */
export async function openFrozenMetadata(path: string): Promise<MetadataStore> {
  let file: SqliteFile | undefined;
  try {
    file = new SqliteFile(path, "frozen");
    // It has the current schema if this writes nothing.
    await migrate(file.mainThreadDb);
    file.freeze();
    return metadataOver(file);
  } catch (cause) {
    await file?.close();
    throw metadataError(path, cause);
  }
}

function metadataOver(file: SqliteFile): MetadataStore {
  const db = file.db;
  const tags = new CachedTags(new SqlTags(db));
  const links = new CachedLinks(new SqlLinks(db));
  const tagHistory = new SqlTagHistory(db);
  return {
    tags,
    links,
    blobs: new SqlBlobRecords(db),
    listings: new SqlListings(db),
    access: new SqlAccess(db),
    visibility: new SqlVisibility(db),
    pins: new SqlPins(db),
    history: new SqlHistory(db),
    tagHistory,
    overrides: new SqlOverrides(db),
    verifications: new SqlVerifications(db),
    get revision() {
      return tags.revision + links.revision + tagHistory.revision;
    },
    bytes: () => file.bytes(),
    shrink: () => file.shrink(),
    close: () => file.close(),
  };
}

function metadataError(path: string, cause: unknown): MetadataError {
  const root = cause instanceof Fault ? cause.cause : cause;
  const isSystemError = root instanceof Error && "syscall" in root;
  const reason = isSystemError ? describeSystemError(root) : messageOf(root);
  const database = `the metadata database ${path}`;
  if (cause instanceof NewerSchemaError) {
    const message = `${database} was written by a newer Entrepot: ${reason}. Run the newer version, or set storage.dir to another directory`;
    return new MetadataError("newer", path, message, { cause });
  }
  if (isDamage(cause)) {
    const message = `${database} is damaged: ${reason}. Move it away and start again: the stored blobs are kept, and their metadata is recorded again as images are pulled`;
    return new MetadataError("damaged", path, message, { cause });
  }
  if (lacksSpace(root)) {
    const message = `${database} cannot be written to: its write-ahead log has no space (${reason}). Free some, or check the kernel log`;
    return new MetadataError("unwritable", path, message, { cause });
  }
  if (lacksSharedMemory(root)) {
    const message = `${database} cannot be opened: its file system cannot share memory through a file (mmap, ${reason}), as some network and FUSE file systems cannot. Set storage.dir to a directory on a local one, such as ext4 or XFS`;
    return new MetadataError("unopenable", path, message, { cause });
  }
  return new MetadataError("unopenable", path, `${database} cannot be opened: ${reason}`, {
    cause,
  });
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
