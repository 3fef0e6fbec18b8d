import { Fault } from "../../oci/fault.ts";
import { SqlBlobRecords } from "./sql-blob-records.ts";
import type { MetadataStore } from "../metadata-store.ts";
import { SqlLinks } from "./sql-links.ts";
import { SqlListings } from "./sql-listings.ts";
import { migrate, NewerSchemaError } from "./migrations.ts";
import { SqlPins } from "./sql-pins.ts";
import { CachedLinks } from "../memory/cached-links.ts";
import { CachedTags } from "../memory/cached-tags.ts";
import { isDamage, SqliteFile } from "./sqlite-file.ts";
import { SqlTags } from "./sql-tags.ts";

/** An index that cannot be used; its file was not changed. */
export class MetadataError extends Error {
  override readonly name = "IndexError";

  constructor(
    readonly kind: "damaged" | "newer" | "unopenable",
    readonly path: string,
    message: string,
    options: ErrorOptions,
  ) {
    super(message, options);
  }
}

/**
 * Opens the index in a SQLite file and brings its tables up to date; `:memory:` gives one for tests.
 *
 * @throws IndexError
 */
export async function openMetadata(path: string): Promise<MetadataStore> {
  let file: SqliteFile | undefined;
  try {
    file = new SqliteFile(path);
    await migrate(file.mainThreadDb);
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
  return {
    tags,
    links,
    blobs: new SqlBlobRecords(db),
    listings: new SqlListings(db),
    pins: new SqlPins(db),
    get revision() {
      return tags.revision + links.revision;
    },
    bytes: () => file.bytes(),
    shrink: () => file.shrink(),
    close: () => file.close(),
  };
}

function metadataError(path: string, cause: unknown): MetadataError {
  const root = cause instanceof Fault ? cause.cause : cause;
  const why = root instanceof Error ? root.message : String(root);
  if (cause instanceof NewerSchemaError) {
    const message = `the index ${path} was written by a newer Entrepot: ${why}. Run that version, or use another storage.dir`;
    return new MetadataError("newer", path, message, { cause });
  }
  if (isDamage(cause)) {
    const message = `the index ${path} is damaged: ${why}. Move it away and start again: the content that is stored beside it stays, and its facts come back as it is pulled`;
    return new MetadataError("damaged", path, message, { cause });
  }
  return new MetadataError("unopenable", path, `the index ${path} cannot be opened: ${why}`, {
    cause,
  });
}
