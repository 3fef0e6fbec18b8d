import { type Kysely, sql } from "kysely";
import type { Digest } from "../../oci/digest.ts";
import type { Tag } from "../../oci/names.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import type { ManifestFact, TagFact } from "../ledger/facts.ts";
import type { LedgerTables } from "./tables.ts";

/** Where a tag points, as of when it was checked; `undefined` if it is not known, or was removed. */
export async function askTag(
  db: Kysely<LedgerTables>,
  { upstream, repository }: RepositoryRef,
  tag: Tag,
): Promise<Pick<TagFact, "digest" | "ageMs"> | undefined> {
  const row = await db
    .selectFrom("tags")
    .select(["digest", ageOf("checked")])
    .where("upstream", "=", upstream)
    .where("repository", "=", repository)
    .where("tag", "=", tag)
    .executeTakeFirst();
  return row?.digest ? { digest: row.digest, ageMs: row.ageMs } : undefined;
}

/** Whether a manifest was given in a repository, as of when that was seen last. */
export async function askManifest(
  db: Kysely<LedgerTables>,
  { upstream, repository }: RepositoryRef,
  digest: Digest,
): Promise<Pick<ManifestFact, "size" | "mediaType" | "ageMs"> | undefined> {
  const row = await db
    .selectFrom("manifests")
    .select(["size", "media_type", ageOf("seen")])
    .where("upstream", "=", upstream)
    .where("repository", "=", repository)
    .where("digest", "=", digest)
    .executeTakeFirst();
  return row && { size: row.size, mediaType: row.media_type, ageMs: row.ageMs };
}

function ageOf(column: "checked" | "seen") {
  return sql<number>`
    greatest(0, extract(epoch from clock_timestamp() - ${sql.ref(column)})::float8 * 1000)
  `.as("ageMs");
}
