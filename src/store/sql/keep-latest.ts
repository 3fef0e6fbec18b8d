import { type Kysely, sql } from "kysely";
import type { Tables } from "./tables.ts";

/** A column by which the rows of a table are removed, and an index that begins with it. */
export interface Bound<Table extends keyof Tables> {
  readonly table: Table;
  readonly by: string & keyof Tables[Table];
  readonly most: number;
}

/** Removes the rows with the lowest values of a column, if there are too many; more rows may share the lowest that stays. */
export async function keepLatest<Table extends keyof Tables>(
  db: Kysely<Tables>,
  { table, by, most }: Bound<Table>,
): Promise<void> {
  await sql`
    delete from ${sql.table(table)} where ${sql.ref(by)} < (
      select ${sql.ref(by)} from ${sql.table(table)}
      order by ${sql.ref(by)} desc limit 1 offset ${most - 1}
    )
  `.execute(db);
}
