// Measures what statements of the ledger cost the processors of a real PostgreSQL, for costs.ts:
// `bun bench/scale/ledger-costs.ts`. It takes a minute.
import { readdirSync, readFileSync } from "node:fs";
import { SQL } from "bun";
import { sql } from "kysely";
import { beat } from "../../src/cluster/postgres/heartbeat.ts";
import { migrateLedger } from "../../src/cluster/database/migrations.ts";
import { openDatabase } from "../../src/cluster/database/pool.ts";
import { askTags, TagQuestions } from "../../src/cluster/postgres/tag-questions.ts";
import { Session } from "../../src/cluster/database/session.ts";
import type { LedgerTables } from "../../src/cluster/database/tables.ts";
import { tellTags } from "../../src/cluster/postgres/tell-facts.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { parseRepositoryName, parseTag, parseUpstreamName } from "../../src/oci/names.ts";
import { startPostgres } from "../../test/harness/replicas/postgres.ts";
import { databaseSettings } from "../../test/harness/replicas/postgres-ledger.ts";
import { cpuSeconds } from "../kernel.ts";

const REPOSITORIES = 10_000;
const AT_ONCE = 4;

await using postgres = await startPostgres();
await postgres.query("alter system set max_connections = 1100");
await postgres.restart();
const url = await postgres.database();
const settings = databaseSettings(url);
const database = openDatabase<LedgerTables>(settings, {
  connections: AT_ONCE,
  statementMs: 10_000,
});
await migrateLedger(database.db);

/** The processes of the server: children of the parent of a backend. */
async function serverPids(): Promise<number[]> {
  const [row] = await postgres.query<{ pid: number }>("select pg_backend_pid() as pid", url);
  const parentOf = (pid: number): number | undefined => {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
    } catch {
      return undefined;
    }
  };
  const [backend] = await backends();
  const server = parentOf(backend ?? row?.pid ?? 0);
  const all = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
  return all.filter((pid) => pid === server || parentOf(pid) === server);
}

async function backends(): Promise<number[]> {
  const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(database.db);
  return rows.map(({ pid }) => pid);
}

async function measure(
  name: string,
  count: number,
  one: (index: number) => Promise<unknown>,
  atOnce = AT_ONCE,
): Promise<void> {
  for (let index = 0; index < AT_ONCE; index += 1) await one(index);
  const pids = await serverPids();
  const before = cpuSeconds(pids);
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < count) {
      next += 1;
      await one(next);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  const each = ((cpuSeconds(pids) - before) / count) * 1e6;
  console.log(`${name}: ${each.toFixed(0)} µs of the server's processors, ${count} times`);
}

const [upstream, tag] = [parseUpstreamName("docker.io"), parseTag("1")];
if (!upstream || !tag) throw new Error("the names are invalid");
const names = Array.from({ length: REPOSITORIES }, (_, at) =>
  parseRepositoryName(`library/r${at}`),
);
const repositories = names.flatMap((repository) => repository ?? []);
const repoAt = (index: number) => {
  const repository = repositories[index % REPOSITORIES];
  if (!repository) throw new Error(`there is no repository ${index}`);
  return { upstream, repository };
};
const digestAt = (index: number) => digestOf(new TextEncoder().encode(String(index)));
const tell = (index: number, version: number): Promise<void> => {
  const fact = {
    kind: "tag",
    repo: repoAt(index),
    tag,
    digest: digestAt(version),
    ageMs: 0,
  } as const;
  return tellTags(database.db, "the benchmark", [{ fact, moment: Date.now() }]);
};

for (const members of [10, 100, 255]) {
  await postgres.query(
    `truncate entrepot.replicas; insert into entrepot.replicas (id, instance, url, version, started, expires)
    select 'http://10.0.0.' || n || ':5002', 'i' || n, 'http://10.0.0.' || n || ':5002', '0.1.0',
      clock_timestamp(), clock_timestamp() + interval '1 hour' from generate_series(1, ${members}) n`,
    url,
  );
  const session = new Session(settings, () => {});
  await session.open();
  const run = {
    id: "http://10.0.0.1:5002",
    instance: "i1",
    url: "http://10.0.0.1:5002",
    version: "0.1.0",
  };
  const once = () => beat(session.client, run, undefined, false);
  await measure(`heartbeat, ${members} members`, 2000, once, 1);
  await session[Symbol.asyncDispose]();
}
for (let index = 0; index < REPOSITORIES; index += 1) await tell(index, 0);
const questions = new TagQuestions((asked) => askTags(database.db, asked));
await measure("question about a tag", 10_000, (index) => questions.ask(repoAt(index), tag));
await measure("tag told, which has not moved", 4000, (index) => tell(index, 0));
let version = 0;
const listeners: SQL[] = [];
for (const count of [0, 10, 100, 250]) {
  while (listeners.length < count) {
    const listener = new SQL({ url, max: 1 });
    await listener.listen("entrepot", () => {});
    listeners.push(listener);
  }
  await measure(`tag moved, ${count} connections listen`, 400, (index) => {
    version += 1;
    return tell(index, version);
  });
}
for (const listener of listeners) await listener.close();
await database.close();
