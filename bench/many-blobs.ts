import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { digestHex, digestOf } from "../src/oci/digest.ts";
import { parseRepositoryName, parseUpstreamName } from "../src/oci/names.ts";
import { openMetadata } from "../src/store/sql/open-metadata.ts";
import { SqliteFile } from "../src/store/sql/sqlite-file.ts";

/** Rows of one statement, of five values each: SQLite takes at most 32,766 values. */
const ROWS = 5000;

/**
 * Makes a data folder with many blobs of `bench.test/bench/many`: files and facts as the cache itself
 * leaves them, but without a sync and a transaction for each. Returns the path of the last one.
 *
 * @param each bytes of each; a few where nothing is said
 */
export async function makeStore(data: string, count: number, each?: number): Promise<string> {
  const upstream = parseUpstreamName("bench.test");
  const repository = parseRepositoryName("bench/many");
  if (!upstream || !repository) throw new Error("the bench's own names do not parse");
  const folder = join(data, "blobs/sha256");
  for (let first = 0; first < 256; first += 1) {
    const name = join(folder, first.toString(16).padStart(2, "0"));
    mkdirSync(name, { recursive: true, mode: 0o700 });
  }
  const path = join(data, "metadata.db");
  await (await openMetadata(path)).close();
  const file = new SqliteFile(path);
  const db = file.here;
  const encoder = new TextEncoder();
  const began = Date.now() - count;
  let last = "";
  for (let first = 0; first < count; first += ROWS) {
    const blobs = Array.from({ length: Math.min(ROWS, count - first) }, (_, at) => {
      const name = encoder.encode(`blob ${first + at}`);
      const bytes = new Uint8Array(each ?? name.byteLength);
      bytes.set(name);
      const digest = digestOf(bytes);
      const hex = digestHex(digest);
      writeFileSync(join(folder, hex.slice(0, 2), hex), bytes, { mode: 0o600 });
      last = digest;
      return { digest, size: bytes.byteLength };
    });
    const contents = blobs.map(({ digest, size }, at) => {
      // One after the other, as content comes: a millisecond that many share makes choosing slow.
      const time = began + first + at;
      return { digest, size, media_type: null, stored_at: time, used_at: time };
    });
    const links = blobs.map(({ digest, size }) => ({ upstream, repository, digest, size }));
    await db.insertInto("blobs").values(contents).execute();
    await db.insertInto("links").values(links).execute();
  }
  await file.close();
  return `/v2/bench/many/blobs/${last}?ns=bench.test`;
}
