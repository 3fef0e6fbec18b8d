import { type RawBuilder, sql } from "kysely";

/** What replicas listen to. */
export const CHANNEL = "entrepot";
/** PostgreSQL takes up to 7,999 bytes in a notification. */
const MAX_BYTES = 7900;

/** What is notified: who tells it, by the run of the replica, and what; nothing if it is to be looked for. */
export interface Notification {
  readonly by: string;
  readonly what: unknown;
}

/** What rows say, as JSON: see messages.ts. */
export const MESSAGES = {
  tags: sql`json_build_object('kind', 'tag', 'upstream', upstream, 'repository', repository, 'tag', tag,
    'digest', digest, 'checked', ${momentOf("checked")})`,
  pins: sql`json_build_object('kind', case when is_pinned then 'pin' else 'unpin' end, 'id', id,
    'pattern', pattern, 'platforms', platforms, 'at', ${momentOf("at")})`,
  purges: sql`json_build_object('kind', 'purge', 'id', id, 'pattern', pattern, 'platforms', '[]'::json,
    'at', ${momentOf("at")})`,
  overrides: sql`json_build_object('kind', 'override', 'id', order_id, 'override', content,
    'at', ${momentOf("at")})`,
  limits: sql`json_build_object('kind', kind, 'upstream', upstream, 'host', host, 'account', account,
    'requests', requests, 'remaining', remaining, 'quota', quota, 'window', window_s,
    'until', ${momentOf("until")})`,
} as const;

/** SQL that notifies all replicas once the transaction commits. What is too large is to be looked for. */
export function notifyOf(by: string, message: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`(
    select pg_notify(${sql.lit(CHANNEL)},
      case when octet_length(whole) <= ${sql.lit(MAX_BYTES)} then whole else short end)
    from (select
      json_build_object('by', ${by}::text, 'what', ${message})::text as whole,
      json_build_object('by', ${by}::text)::text as short) as texts
  )`;
}

/** SQL of a moment in milliseconds of the epoch. */
function momentOf(column: string): RawBuilder<unknown> {
  return sql`extract(epoch from ${sql.ref(column)})::float8 * 1000`;
}

/** SQL of a time, from milliseconds of the epoch. */
export function timeOf(milliseconds: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`to_timestamp(${milliseconds} / 1000)`;
}
