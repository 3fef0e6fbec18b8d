import { type Kysely, sql } from "kysely";
import type { Digest } from "../../oci/digest.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import type { ManifestFact } from "../ledger/facts.ts";
import type { LedgerTables } from "../database/tables.ts";

const AGE = sql<number>`
  greatest(0, extract(epoch from clock_timestamp() - seen)::float8 * 1000)
`.as("ageMs");

/** Whether a manifest was given in a repository, as of when that was seen last. */
export async function askManifest(
  db: Kysely<LedgerTables>,
  { upstream, repository }: RepositoryRef,
  digest: Digest,
): Promise<Pick<ManifestFact, "size" | "mediaType" | "ageMs"> | undefined> {
  const row = await db
    .selectFrom("manifests")
    .select(["size", "media_type", AGE])
    .where("upstream", "=", upstream)
    .where("repository", "=", repository)
    .where("digest", "=", digest)
    .executeTakeFirst();
  return row && { size: row.size, mediaType: row.media_type, ageMs: row.ageMs };
}
