import type { Kysely } from "kysely";
import type { Pin, Pins } from "../metadata-store.ts";
import type { Tables } from "./tables.ts";

/** Images that are never evicted, in a database. */
export class SqlPins implements Pins {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  async list(): Promise<Pin[]> {
    const rows = await this.#db.selectFrom("pins").selectAll().orderBy("pattern").execute();
    return rows.map(({ pattern, platforms, since }) => ({
      pattern,
      platforms: platforms === "" ? [] : platforms.split(","),
      since,
    }));
  }

  async put({ pattern, platforms, since }: Pin): Promise<void> {
    const values = { platforms: platforms.join(","), since };
    await this.#db
      .insertInto("pins")
      .values({ pattern, ...values })
      .onConflict((conflict) => conflict.column("pattern").doUpdateSet(values))
      .execute();
  }

  async remove(pattern: string): Promise<boolean> {
    const result = await this.#db
      .deleteFrom("pins")
      .where("pattern", "=", pattern)
      .executeTakeFirst();
    return result.numDeletedRows > 0n;
  }
}
