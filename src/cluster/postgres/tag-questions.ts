import { setImmediate } from "node:timers/promises";
import { type Kysely, type RawBuilder, sql } from "kysely";
import type { Digest } from "../../oci/digest.ts";
import type { Tag } from "../../oci/names.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import type { TagFact } from "../ledger/facts.ts";
import type { LedgerTables } from "../database/tables.ts";

export interface AskedTag {
  readonly repo: RepositoryRef;
  readonly tag: Tag;
}

interface Question<Answer> extends AskedTag {
  readonly resolve: (answer: Answer | undefined) => void;
  readonly reject: (error: unknown) => void;
}

/** Questions in one statement. */
const BATCH_SIZE = 128;
/** Statements at once: as many as there are connections for them. */
const MAX_STATEMENTS = 2;

/**
 * Asks about tags. Questions that come together, as when many images begin to be pulled, are one statement: one after
 * the other they would take a round trip each, and the last ones too long.
 */
export class TagQuestions<Answer> {
  readonly #answersTo: (asked: readonly AskedTag[]) => Promise<ReadonlyMap<number, Answer>>;
  #waiting: Question<Answer>[] = [];
  #statements = 0;

  /** @param answersTo the answers by the number of the question, counted from 1 */
  constructor(answersTo: (asked: readonly AskedTag[]) => Promise<ReadonlyMap<number, Answer>>) {
    this.#answersTo = answersTo;
  }

  /** `undefined` if nothing is known of it. */
  ask(repo: RepositoryRef, tag: Tag): Promise<Answer | undefined> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer | undefined>();
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
  async #askOnce(questions: readonly Question<Answer>[]): Promise<void> {
    try {
      const answers = await this.#answersTo(questions);
      questions.forEach(({ resolve }, index) => resolve(answers.get(index + 1)));
    } catch (error) {
      for (const { reject } of questions) reject(error);
    }
  }
}

/** SQL of a table `asked` of tags, with their numbers from 1. */
export function askedTags(tags: readonly AskedTag[]): RawBuilder<unknown> {
  const texts = (of: (tag: AskedTag) => string) => sql`${tags.map(of)}::text[]`;
  return sql`unnest(
    ${texts(({ repo }) => repo.upstream)}, ${texts(({ repo }) => repo.repository)},
    ${texts(({ tag }) => tag)}
  ) with ordinality as asked (upstream, repository, tag, number)`;
}

/**
 * Where tags point, as of when that was checked; not of those that were removed. The lateral subquery has the index
 * used for each, whatever the planner believes of the table.
 */
export async function askTags(
  db: Kysely<LedgerTables>,
  asked: readonly AskedTag[],
): Promise<ReadonlyMap<number, Pick<TagFact, "digest" | "ageMs">>> {
  const { rows } = await sql<{
    readonly number: number;
    readonly digest: Digest;
    readonly ageMs: number;
  }>`
    select asked.number::float8 as number, known.digest,
      greatest(0, extract(epoch from clock_timestamp() - known.checked)::float8 * 1000) as "ageMs"
    from ${askedTags(asked)}
    cross join lateral (
      select digest, checked from tags
      where tags.upstream = asked.upstream and tags.repository = asked.repository
        and tags.tag = asked.tag and digest is not null
      limit 1
    ) as known
  `.execute(db);
  return new Map(rows.map(({ number, digest, ageMs }) => [number, { digest, ageMs }]));
}
