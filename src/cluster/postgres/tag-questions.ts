import { setImmediate } from "node:timers/promises";
import { type Kysely, sql } from "kysely";
import type { Digest } from "../../oci/digest.ts";
import type { Tag } from "../../oci/names.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import type { TagFact } from "../ledger/facts.ts";
import type { LedgerTables } from "../database/tables.ts";

type Answer = Pick<TagFact, "digest" | "ageMs"> | undefined;

interface Question {
  readonly repo: RepositoryRef;
  readonly tag: Tag;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

interface Row {
  /** Of the question, counted from 1. */
  readonly number: number;
  readonly digest: Digest;
  readonly ageMs: number;
}

/** Questions in one statement. */
const BATCH_SIZE = 128;
/** Statements at once: as many as there are connections for them. */
const MAX_STATEMENTS = 2;

/**
 * Asks where tags point. Questions that come together, as when many images begin to be pulled, are one
 * statement: one after the other they would take a round trip each, and the last ones too long.
 */
export class TagQuestions {
  readonly #db: Kysely<LedgerTables>;
  #waiting: Question[] = [];
  #statements = 0;

  constructor(db: Kysely<LedgerTables>) {
    this.#db = db;
  }

  /** As of when it was checked; `undefined` if it is not known, or was removed. */
  ask(repo: RepositoryRef, tag: Tag): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    this.#waiting.push({ repo, tag, resolve, reject });
    if (this.#statements < MAX_STATEMENTS) void this.#askAll();
    return promise;
  }

  async #askAll(): Promise<void> {
    this.#statements += 1;
    // Those of the same turn of the event loop come together.
    await setImmediate();
    while (this.#waiting.length > 0) {
      const questions = this.#waiting.slice(0, BATCH_SIZE);
      this.#waiting = this.#waiting.slice(BATCH_SIZE);
      await this.#askOnce(questions);
    }
    this.#statements -= 1;
  }

  /** Never rejects: each question does. */
  async #askOnce(questions: readonly Question[]): Promise<void> {
    try {
      const rows = await answersTo(this.#db, questions);
      const answers = new Map(rows.map(({ number, digest, ageMs }) => [number, { digest, ageMs }]));
      questions.forEach(({ resolve }, index) => resolve(answers.get(index + 1)));
    } catch (error) {
      for (const { reject } of questions) reject(error);
    }
  }
}

/** The lateral subquery has the index used for each, whatever the planner believes of the table. */
async function answersTo(
  db: Kysely<LedgerTables>,
  questions: readonly Question[],
): Promise<readonly Row[]> {
  const texts = (of: (question: Question) => string) => sql`${questions.map(of)}::text[]`;
  const { rows } = await sql<Row>`
    select asked.number::float8 as number, known.digest,
      greatest(0, extract(epoch from clock_timestamp() - known.checked)::float8 * 1000) as "ageMs"
    from unnest(
      ${texts(({ repo }) => repo.upstream)}, ${texts(({ repo }) => repo.repository)},
      ${texts(({ tag }) => tag)}
    ) with ordinality as asked (upstream, repository, tag, number)
    cross join lateral (
      select digest, checked from tags
      where tags.upstream = asked.upstream and tags.repository = asked.repository
        and tags.tag = asked.tag and digest is not null
      limit 1
    ) as known
  `.execute(db);
  return rows;
}
