import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Digest, digestHex, digestOf } from "../../../src/oci/digest.ts";
import { OCI_MANIFEST } from "../../../src/oci/media-types.ts";
import { parseRepositoryName, parseTag, parseUpstreamName } from "../../../src/oci/names.ts";
import { openMetadata } from "../../../src/store/sql/open-metadata.ts";
import { SqliteFile } from "../../../src/store/sql/sqlite-file.ts";

/** Images per transaction. A row has at most seven values, and a statement of SQLite 32,766. */
const BATCH_SIZE = 1000;
const LAYERS = 3;
const TAGS_PER_REPOSITORY = 100;

interface StoredBlob {
  readonly digest: Digest;
  readonly size: number;
  readonly mediaType: string | null;
}

/**
 * Creates a data directory with many images of `reg.test`: files and metadata as the cache writes them, but
 * without a sync and a transaction for each. Their names are `app0:0` to `app0:99`, `app1:0` and so on.
 */
export async function makeImages(data: string, count: number): Promise<void> {
  const upstream = parseUpstreamName("reg.test");
  if (!upstream) throw new Error("unreachable");
  const folder = join(data, "blobs/sha256");
  for (let first = 0; first < 256; first += 1) {
    const name = join(folder, first.toString(16).padStart(2, "0"));
    mkdirSync(name, { recursive: true, mode: 0o700 });
  }
  const store = (text: string, mediaType: string | null = null): StoredBlob => {
    const bytes = Buffer.from(text);
    const digest = digestOf(bytes);
    const hex = digestHex(digest);
    writeFileSync(join(folder, hex.slice(0, 2), hex), bytes, { mode: 0o600 });
    return { digest, size: bytes.byteLength, mediaType };
  };
  const path = join(data, "metadata.db");
  await (await openMetadata(path)).close();
  const file = new SqliteFile(path);
  const time = Date.now();
  for (let first = 0; first < count; first += BATCH_SIZE) {
    const numbers = Array.from(
      { length: Math.min(BATCH_SIZE, count - first) },
      (_, i) => first + i,
    );
    const images = numbers.map((number) => {
      const repository = parseRepositoryName(`app${Math.floor(number / TAGS_PER_REPOSITORY)}`);
      const tag = parseTag(String(number % TAGS_PER_REPOSITORY));
      if (!repository || !tag) throw new Error("unreachable");
      const config = store(JSON.stringify({ os: "linux", architecture: "amd64", number }));
      const layers = Array.from({ length: LAYERS }, (_, layer) =>
        store(`layer ${number} ${layer}`),
      );
      const manifest = store(
        JSON.stringify({
          schemaVersion: 2,
          mediaType: OCI_MANIFEST,
          config: descriptor(config, "application/vnd.oci.image.config.v1+json"),
          layers: layers.map((each) => descriptor(each, "application/vnd.oci.image.layer.v1.tar")),
        }),
        OCI_MANIFEST,
      );
      return { repository, tag, manifest, blobs: [manifest, config, ...layers] };
    });
    const rows = images.flatMap(({ repository, blobs }) =>
      blobs.map((blob) => ({ ...blob, repository })),
    );
    await file.mainThreadDb.transaction().execute(async (db) => {
      for (let at = 0; at < rows.length; at += BATCH_SIZE) {
        const batch = rows.slice(at, at + BATCH_SIZE);
        const blobs = batch.map(({ digest, size, mediaType }) => {
          return { digest, size, media_type: mediaType, stored_at: time, used_at: time };
        });
        await db.insertInto("blobs").values(blobs).execute();
        const links = batch.map(({ repository, digest, size, mediaType }) => {
          const media_type = mediaType === OCI_MANIFEST ? mediaType : null;
          const added_at = time;
          return { upstream, repository, digest, size, confirmed: 1, media_type, added_at };
        });
        await db.insertInto("links").values(links).execute();
      }
      const tags = images.map(({ repository, tag, manifest: { digest } }) => {
        return { upstream, repository, tag, digest, checked_at: time };
      });
      await db.insertInto("tags").values(tags).execute();
    });
  }
  await file.close();
}

function descriptor({ digest, size }: StoredBlob, mediaType: string): object {
  return { mediaType, digest, size };
}
