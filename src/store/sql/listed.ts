import { type RawBuilder, sql } from "kysely";

/** The values of a list, for `in`: of any length, it is one parameter and the same statement. */
export function listed<Value extends string>(values: readonly Value[]): RawBuilder<Value> {
  return sql<Value>`(select value from json_each(${JSON.stringify(values)}))`;
}
