import { Fault } from "../../oci/fault.ts";
import { SqlContents } from "./sql-blob-records.ts";
import type { Index } from "../metadata-store.ts";
import { SqlLinks } from "./sql-links.ts";
import { SqlListings } from "./sql-listings.ts";
import { migrate, NewerSchemaError } from "./migrations.ts";
import { SqlPins } from "./sql-pins.ts";
import { RememberedLinks } from "../memory/cached-links.ts";
import { RememberedTags } from "../memory/cached-tags.ts";
import { isDamage, SqliteFile } from "./sqlite-file.ts";
import { SqlTags } from "./sql-tags.ts";

/** An index that cannot be used; its file was not changed. */
export class IndexError extends Error {
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
export async function openIndex(path: string): Promise<Index> {
  let file: SqliteFile | undefined;
  try {
    file = new SqliteFile(path);
    await migrate(file.here);
    return indexOver(file);
  } catch (cause) {
    await file?.close();
    throw indexError(path, cause);
  }
}

function indexOver(file: SqliteFile): Index {
  const db = file.beside;
  const tags = new RememberedTags(new SqlTags(db));
  const links = new RememberedLinks(new SqlLinks(db));
  return {
    tags,
    links,
    contents: new SqlContents(db),
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

function indexError(path: string, cause: unknown): IndexError {
  const root = cause instanceof Fault ? cause.cause : cause;
  const why = root instanceof Error ? root.message : String(root);
  if (cause instanceof NewerSchemaError) {
    const message = `the index ${path} was written by a newer Entrepot: ${why}. Run that version, or use another storage.dir`;
    return new IndexError("newer", path, message, { cause });
  }
  if (isDamage(cause)) {
    const message = `the index ${path} is damaged: ${why}. Move it away and start again: the content that is stored beside it stays, and its facts come back as it is pulled`;
    return new IndexError("damaged", path, message, { cause });
  }
  return new IndexError("unopenable", path, `the index ${path} cannot be opened: ${why}`, {
    cause,
  });
}
