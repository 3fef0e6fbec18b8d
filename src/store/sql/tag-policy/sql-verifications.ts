import type { Kysely, Selectable } from "kysely";
import type { Digest } from "../../../oci/digest.ts";
import type { RepositoryRef } from "../../repository-ref.ts";
import type {
  ListedVerification,
  VerificationRecord,
  VerificationStore,
} from "../../verification-store.ts";
import type { Tables } from "../tables.ts";
import { keepLatest } from "../keep-latest.ts";
import { listed } from "../listed.ts";

const MAX_VERIFICATIONS = 20_000;
/** The excess is looked for once in so many writes: that takes longer than a write. */
const WRITES_PER_LOOK = 100;

/** What was found of signatures, in a database. */
export class SqlVerifications implements VerificationStore {
  readonly #db: Kysely<Tables>;
  #writes = 0;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  async get(
    repo: RepositoryRef,
    digest: Digest,
    revision: string,
  ): Promise<VerificationRecord | undefined> {
    const row = await this.#db
      .selectFrom("verifications")
      .select(["outcome", "detail", "logged_at", "verified_at"])
      .where("upstream", "=", repo.upstream)
      .where("repository", "=", repo.repository)
      .where("digest", "=", digest)
      .where("revision", "=", revision)
      .executeTakeFirst();
    return row && recordOf(row);
  }

  async find(
    repo: RepositoryRef,
    digests: readonly Digest[],
    revision: string,
  ): Promise<ReadonlyMap<Digest, VerificationRecord>> {
    if (digests.length === 0) return new Map();
    const rows = await this.#db
      .selectFrom("verifications")
      .select(["digest", "outcome", "detail", "logged_at", "verified_at"])
      .where("upstream", "=", repo.upstream)
      .where("repository", "=", repo.repository)
      .where("digest", "in", listed<Digest>(digests))
      .where("revision", "=", revision)
      .execute();
    return new Map(rows.map((row) => [row.digest, recordOf(row)]));
  }

  async put(
    repo: RepositoryRef,
    digest: Digest,
    revision: string,
    { outcome, detail, loggedAt, verifiedAt }: VerificationRecord,
  ): Promise<void> {
    const key = { upstream: repo.upstream, repository: repo.repository, digest, revision };
    const values = { outcome, detail, logged_at: loggedAt ?? null, verified_at: verifiedAt };
    await this.#db
      .insertInto("verifications")
      .values({ ...key, ...values })
      .onConflict((conflict) =>
        conflict.columns(["upstream", "repository", "digest", "revision"]).doUpdateSet(values),
      )
      .execute();
    this.#writes += 1;
    if (this.#writes % WRITES_PER_LOOK !== 1) return;
    await keepLatest(this.#db, {
      table: "verifications",
      by: "verified_at",
      most: MAX_VERIFICATIONS - WRITES_PER_LOOK,
    });
  }

  async failed(revisions: readonly string[], limit: number): Promise<ListedVerification[]> {
    if (revisions.length === 0) return [];
    const rows = await this.#db
      .selectFrom("verifications")
      .selectAll()
      .where("outcome", "=", "failed")
      .where("revision", "in", revisions)
      .orderBy("verified_at", "desc")
      .limit(limit)
      .execute();
    return rows.map(listedOf);
  }
}

type RecordRow = Pick<
  Selectable<Tables["verifications"]>,
  "outcome" | "detail" | "logged_at" | "verified_at"
>;

function recordOf({ outcome, detail, logged_at, verified_at }: RecordRow): VerificationRecord {
  return {
    outcome,
    detail,
    ...(logged_at === null ? {} : { loggedAt: logged_at }),
    verifiedAt: verified_at,
  };
}

function listedOf(row: Selectable<Tables["verifications"]>): ListedVerification {
  const { upstream, repository, digest, revision } = row;
  return { repo: { upstream, repository }, digest, revision, ...recordOf(row) };
}
