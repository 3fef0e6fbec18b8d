import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { digestHex, digestOf } from "../src/oci/digest.ts";
import { parseRepositoryName, parseUpstreamName } from "../src/oci/names.ts";
import { openMetadata } from "../src/store/sql/open-metadata.ts";
import { SqliteFile } from "../src/store/sql/sqlite-file.ts";

/**
 * Rows per INSERT. A row has five values, and SQLite accepts at most 32,766 values per statement.
 */
const BATCH_SIZE = 5000;

/**
 * Creates a data directory with many blobs of `bench.test/bench/many`: files and metadata as the
 * cache writes them, but without a sync and a transaction per blob. Returns the last blob's URL
 * path.
 *
 * @param blobSize bytes per blob; only a few bytes if not given
 */
export async function makeStore(data: string, count: number, blobSize?: number): Promise<string> {
  const upstream = parseUpstreamName("bench.test");
  const repository = parseRepositoryName("bench/many");
  if (!upstream || !repository) throw new Error("the benchmark's names are invalid");
  const folder = join(data, "blobs/sha256");
  for (let first = 0; first < 256; first += 1) {
    const name = join(folder, first.toString(16).padStart(2, "0"));
    mkdirSync(name, { recursive: true, mode: 0o700 });
  }
  const path = join(data, "metadata.db");
  await (await openMetadata(path)).close();
  const file = new SqliteFile(path);
  const db = file.mainThreadDb;
  const encoder = new TextEncoder();
  const startTime = Date.now() - count;
  let last = "";
  for (let first = 0; first < count; first += BATCH_SIZE) {
    const blobs = Array.from({ length: Math.min(BATCH_SIZE, count - first) }, (_, index) => {
      const name = encoder.encode(`blob ${first + index}`);
      const bytes = new Uint8Array(blobSize ?? name.byteLength);
      bytes.set(name);
      const digest = digestOf(bytes);
      const hex = digestHex(digest);
      writeFileSync(join(folder, hex.slice(0, 2), hex), bytes, { mode: 0o600 });
      last = digest;
      return { digest, size: bytes.byteLength };
    });
    const blobRows = blobs.map(({ digest, size }, index) => {
      // Distinct times, as in practice: blobs with the same last access slow down the LRU query.
      const time = startTime + first + index;
      return { digest, size, media_type: null, stored_at: time, used_at: time };
    });
    const confirmed = 1;
    const linkRows = blobs.map(({ digest, size }) => {
      return { upstream, repository, digest, size, confirmed, added_at: startTime };
    });
    await db.insertInto("blobs").values(blobRows).execute();
    await db.insertInto("links").values(linkRows).execute();
  }
  const access = { upstream, repository, answered_at: Date.now(), is_refused: 0 };
  await db.insertInto("access").values(access).execute();
  await file.close();
  return `/v2/bench/many/blobs/${last}?ns=bench.test`;
}
