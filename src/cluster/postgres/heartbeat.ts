import type { Client } from "pg";

/** A replica, as it says itself. */
export interface ReplicaIdentity {
  readonly id: string;
  /** Where other replicas reach it. */
  readonly url: string;
  readonly version: string;
}

/** A run of a replica. */
export interface ReplicaRun extends ReplicaIdentity {
  /** Unique for each run. */
  readonly instance: string;
}

/** Another replica, as the database has it. */
export interface ListedReplica extends ReplicaIdentity {
  /** Its heartbeats have ended, and it has not said goodbye. */
  readonly isSilent: boolean;
}

export interface Beat {
  /** The server's clock, in milliseconds of the epoch. */
  readonly now: number;
  /** Whether another run has this replica's id. */
  readonly isTaken: boolean;
  /** The last look of this replica that it has told, in whatever run. */
  readonly heard: string | undefined;
  /** The other replicas, those that are alive before those that are silent, each ordered by id. */
  readonly others: readonly ListedReplica[];
}

/** How long a replica is believed to be alive after a heartbeat, in milliseconds. */
export const EXPIRY_MS = 3000;

/**
 * How long one is listed as silent after that, in milliseconds: longer than an alert waits. Whether one that never
 * comes back has failed or is no longer wanted, nobody knows.
 */
export const SILENT_MS = 600_000;

/** Without this one. */
const MAX_OTHERS = 255;

/**
 * What the last row says of this id decides, not what was read before. There are few rows, for those of the dead
 * are removed: reading all of them is the quickest way.
 */
const BEAT = `
  with beat as (
    insert into replicas as known (id, instance, url, version, started, expires, heard)
    values ($1, $2, $3, $4, clock_timestamp(), clock_timestamp() + $5::float8 * interval '1 ms', $6::xid8)
    on conflict (id) do update set
      instance = excluded.instance, url = excluded.url, version = excluded.version,
      started = case when known.instance = excluded.instance then known.started else excluded.started end,
      expires = excluded.expires, heard = coalesce(excluded.heard, known.heard)
    where known.instance = excluded.instance or $7::boolean or known.expires < clock_timestamp()
    returning heard
  ), other as (
    select id, url, version, expires <= clock_timestamp() as "isSilent" from replicas
    where expires > clock_timestamp() - $8::float8 * interval '1 ms' and id <> $1
    order by "isSilent", id limit ${MAX_OTHERS}
  )
  select extract(epoch from clock_timestamp())::float8 * 1000 as now,
    not exists (select from beat) as "isTaken",
    (select heard::text from beat) as heard,
    (select coalesce(json_agg(other), '[]') from other) as others
`;

interface BeatRow {
  readonly now: number;
  readonly isTaken: boolean;
  readonly heard: string | null;
  readonly others: readonly ListedReplica[];
}

/**
 * Says that a replica is alive.
 *
 * @param heard its last look, to be remembered
 * @param isNew takes the id from another run: a replica that is started again follows itself. The other one,
 *   if it lives, is told with its next heartbeat
 */
export async function beat(
  client: Client,
  { id, instance, url, version }: ReplicaRun,
  heard: string | undefined,
  isNew: boolean,
): Promise<Beat> {
  const values = [id, instance, url, version, EXPIRY_MS, heard ?? null, isNew, SILENT_MS];
  const { rows } = await client.query<BeatRow>({ name: "beat", text: BEAT, values });
  const [row] = rows;
  if (!row) throw new Error("the database returned nothing");
  return { ...row, heard: row.heard ?? undefined };
}

/**
 * Says that a run has ended, unless another has taken its place: its row is as old as that of one that is listed no
 * more, and is kept as long as any.
 */
export async function sayGoodbye(client: Client, { id, instance }: ReplicaRun): Promise<void> {
  await client.query(
    `update replicas set expires = clock_timestamp() - $3::float8 * interval '1 ms'
     where id = $1 and instance = $2`,
    [id, instance, SILENT_MS],
  );
}
