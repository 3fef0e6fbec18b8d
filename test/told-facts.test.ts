import { afterAll, beforeAll, expect } from "bun:test";
import { writeFile } from "node:fs/promises";
import { command } from "./harness/cache/commands.ts";
import type { Entrepot } from "./harness/cache/entrepot.ts";
import * as faults from "./harness/faults/faults.ts";
import { freePort } from "./harness/free-port.ts";
import { textImage } from "./harness/images/images.ts";
import { metric } from "./harness/cache/metrics.ts";
import { type Postgres, startPostgres } from "./harness/replicas/postgres.ts";
import { longRealTest, real, realTest } from "./harness/real-components.ts";
import { jobOf, orderJob } from "./harness/cache/admin-jobs.ts";
import type { Job } from "../src/api/jobs.ts";
import { type Replicas, startReplicas } from "./harness/replicas/replicas.ts";
import {
  type ScriptedUpstream,
  startScriptedUpstream,
} from "./harness/registries/scripted-upstream.ts";
import { type TempDir, tempDir } from "./harness/temp-dir.ts";
import { until } from "./harness/waiting.ts";

/** What one replica learns is known to the others within this time. */
const KNOWN_WITHIN = 1000;

let dir: TempDir;
let postgres: Postgres;
let upstream: ScriptedUpstream;
let replicas: Replicas;

beforeAll(async () => {
  if (!real.available) return;
  [dir, postgres, upstream] = await Promise.all([
    tempDir("told-facts"),
    startPostgres(),
    startScriptedUpstream(),
  ]);
  const urlFile = dir.file("database");
  await writeFile(urlFile, await postgres.database());
  replicas = await startReplicas({
    url: upstream.url,
    cluster: () => ({ database: { urlFile } }),
    // The first one asks its upstream at each pull.
    upstream: (number) => ({ tagTtl: number === 0 ? "0s" : "1h" }),
  });
  await Promise.all(replicas.all.map(isUp));
});

afterAll(async () => {
  await replicas?.[Symbol.asyncDispose]();
  await upstream?.[Symbol.asyncDispose]();
  await postgres?.[Symbol.asyncDispose]();
  await dir?.[Symbol.asyncDispose]();
});

async function statusOf(replica: Entrepot) {
  const response = await replica.getAdmin("/api/v1/status");
  // Its schema is checked by other tests.
  return (await response.json()) as {
    readonly cluster: {
      readonly ledger: { readonly state: string };
      readonly members: readonly { readonly state: string }[];
    };
    readonly upstreams: readonly {
      readonly addresses: readonly { readonly rateLimitedUntil?: number }[];
    }[];
  };
}

/** Whether a replica is told by the others, and knows that they live. */
async function isUp(replica: Entrepot): Promise<void> {
  const known = async (): Promise<boolean> => {
    const { ledger, members } = (await statusOf(replica)).cluster;
    return (
      ledger.state === "up" &&
      members.filter(({ state }) => state === "this" || state === "living").length === 3
    );
  };
  await until(known, { what: "the ledger and three members" });
}

async function pull(replica: Entrepot, tag: string): Promise<string | number> {
  const response = await replica.get(`/v2/app/manifests/${tag}?ns=reg.test`);
  await response.bytes();
  return response.headers.get("docker-content-digest") ?? response.status;
}

function push(tag: string, text: string): string {
  const image = textImage({ text });
  upstream.add("app", image, tag);
  return image.manifest.digest;
}

/** Pins images at a replica, or removes the pin. */
async function pinAt(replica: Entrepot, method: "POST" | "DELETE", pattern: string) {
  const path = method === "POST" ? "" : `/${encodeURIComponent(pattern)}`;
  const response = await replica.getAdmin(`/api/v1/pins${path}`, {
    method,
    headers: { "content-type": "application/json" },
    ...(method === "POST" && { body: JSON.stringify({ pattern }) }),
  });
  // Its schema is checked by other tests.
  return ((await response.json()) as { replicas?: object }).replicas;
}

async function purgeAt(replica: Entrepot, pattern: string): Promise<Job> {
  return jobOf(await orderJob(replica.adminAddress, "purge", { pattern }));
}

async function tagsOf(replica: Entrepot): Promise<string[]> {
  const response = await replica.getAdmin("/api/v1/images");
  // Its schema is checked by other tests.
  const { items } = (await response.json()) as { items: readonly { tag?: string }[] };
  return items.flatMap(({ tag }) => tag ?? []);
}

/** Checks a condition at all replicas, each within the time in which they know of everything. */
async function atAll(what: string, check: (replica: Entrepot) => Promise<boolean>): Promise<void> {
  await Promise.all(
    replicas.all.map((replica) => until(() => check(replica), { what, within: KNOWN_WITHIN })),
  );
}

/** The replica that asks at each pull, and the others. */
function parts(): { readonly first: Entrepot; readonly others: readonly Entrepot[] } {
  const [first, ...others] = replicas.all;
  if (!first) throw new Error("there is no replica");
  return { first, others };
}

realTest("a tag is checked once for all replicas", async () => {
  const { others } = parts();
  const digest = push("once", "once");
  for (const [turn, replica] of others.entries()) {
    upstream.forget();
    expect(await pull(replica, "once")).toBe(digest);
    const asked = upstream.requests({ kind: "manifest" }).map(({ reference }) => reference);
    expect(asked.filter((reference) => reference === "once").length).toBe(turn === 0 ? 1 : 0);
    const url = await Bun.file(dir.file("database")).text();
    const rows = (): Promise<unknown[]> =>
      postgres.query("select from entrepot.tags where tag = 'once'", url);
    await until(async () => (await rows()).length === 1, { what: "the tag in the ledger" });
  }
});

realTest("a tag that one replica saw move is known to the others", async () => {
  const { first, others } = parts();
  const before = push("moved", "before");
  for (const replica of replicas.all) expect(await pull(replica, "moved")).toBe(before);
  const after = push("moved", "after");
  for (const replica of others) expect(await pull(replica, "moved")).toBe(before);
  expect(await pull(first, "moved")).toBe(after);
  await atAll("the new image", async (replica) => (await pull(replica, "moved")) === after);
});

realTest("a purge, a pin and an unpin at one replica are carried out at all", async () => {
  const { first } = parts();
  const images = ["kept", "purged"];
  for (const tag of images) {
    push(tag, tag);
    for (const replica of replicas.all) await pull(replica, tag);
  }
  await atAll("the images", async (replica) => {
    const tags = await tagsOf(replica);
    return images.every((tag) => tags.includes(tag));
  });
  const reach = { reached: 3, of: 3, ledger: "up", images: 2, refused: 0 };
  expect(await pinAt(first, "POST", "reg.test/app:kept")).toEqual(reach);
  const preview = await command(first, "purge", "--dry-run", "reg.test/app:purged");
  expect(preview.stdout).toContain("\nWould purge at 3 of 3 replicas, 2 images at the others.\n");
  expect((await purgeAt(first, "reg.test/app:purged")).result?.replicas).toEqual(reach);
  await atAll("the purge", async (replica) => !(await tagsOf(replica)).includes("purged"));
  for (const replica of replicas.all) {
    expect((await purgeAt(replica, "reg.test/app:kept")).problem?.status).toBe(409);
  }
  const unpinned = await pinAt(first, "DELETE", "reg.test/app:kept");
  expect(unpinned).toEqual({ ...reach, images: 0 });
  expect((await purgeAt(first, "reg.test/app:nothing")).problem?.status).toBe(404);
});

realTest(
  "a purge while the ledger is away says where it was carried out, and reaches all after",
  async () => {
    const { first, others } = parts();
    push("late", "late");
    for (const replica of replicas.all) await pull(replica, "late");
    await atAll("the image", async (replica) => (await tagsOf(replica)).includes("late"));
    await postgres.stop();
    try {
      const away = async (): Promise<boolean> =>
        (await statusOf(first)).cluster.ledger.state === "away";
      await until(away, { what: "the ledger to be away" });
      expect((await command(first, "purge", "reg.test/app:late")).stdout).toEndWith(
        "Purged at 1 of 3 replicas: the ledger of the replicas cannot be reached. The others hear of it once it can be.\n",
      );
      for (const replica of others) expect(await tagsOf(replica)).toContain("late");
    } finally {
      await postgres.start();
    }
    const isPurged = async (replica: Entrepot): Promise<boolean> =>
      !(await tagsOf(replica)).includes("late");
    for (const replica of others) {
      await until(() => isPurged(replica), { what: "the purge, once the ledger is back" });
    }
    await Promise.all(replicas.all.map(isUp));
  },
);

/** Tags move while something is wrong with the database, and are pulled at all replicas until it is known to be away. */
async function pullDuring(
  name: string,
  begin: () => Promise<void>,
  end: () => Promise<void>,
): Promise<void> {
  const { first, others } = parts();
  const tags = Array.from({ length: 5 }, (_, number) => `${name}-${number}`);
  const before = new Map(tags.map((tag) => [tag, push(tag, `${tag} before`)]));
  const pullAll = (replica: Entrepot): Promise<(string | number)[]> =>
    Promise.all(tags.map((tag) => pull(replica, tag)));
  for (const replica of replicas.all) expect(await pullAll(replica)).toEqual([...before.values()]);
  await begin();
  const after = tags.map((tag) => push(tag, `${tag} after`));
  try {
    const isAway = async (replica: Entrepot): Promise<boolean> => {
      expect(await pullAll(replica)).toEqual(replica === first ? after : [...before.values()]);
      return (await statusOf(replica)).cluster.ledger.state === "away";
    };
    await Promise.all(
      replicas.all.map((replica) =>
        until(() => isAway(replica), { what: "the ledger to be away" }),
      ),
    );
  } finally {
    await end();
  }
  await Promise.all(replicas.all.map(isUp));
  upstream.forget();
  for (const replica of others) {
    const hasHeard = async (): Promise<boolean> => (await pullAll(replica)).join() === after.join();
    await until(hasHeard, { what: "everything that moved to be known" });
  }
  // What the others know now, they were told.
  const url = await Bun.file(dir.file("database")).text();
  const rows = await postgres.query<{ digest: string }>(
    `select digest from entrepot.tags where tag like '${name}-%' order by tag`,
    url,
  );
  expect(rows.map(({ digest }) => digest)).toEqual(after);
}

realTest("no pull fails while the database hangs, and everything is known afterwards", () =>
  pullDuring(
    "frozen",
    () => postgres.freeze(),
    () => postgres.thaw(),
  ),
);

realTest(
  "no pull fails while the database is killed and comes back, and everything is known afterwards",
  () =>
    pullDuring(
      "killed",
      () => postgres.stop("SIGQUIT"),
      () => postgres.start(),
    ),
);

longRealTest(
  "no pull fails while the database is away for a minute, and everything is known afterwards",
  () =>
    pullDuring(
      "away",
      () => postgres.stop(),
      async () => {
        await Bun.sleep(60_000);
        await postgres.start();
      },
    ),
);

realTest(
  "a replica that has gone without a goodbye is told of, though no list has its name",
  async () => {
    const { first } = parts();
    const gone = `http://127.0.0.1:${freePort()}`;
    const url = await Bun.file(dir.file("database")).text();
    await postgres.query(
      `insert into entrepot.replicas values ('${gone}', 'i', '${gone}', '0.1.0', clock_timestamp(), clock_timestamp())`,
      url,
    );
    const problem = 'entrepot_cluster_problem{problem="silent-member"}';
    await until(async () => (await metric(first, problem)) === 1, { what: "the problem" });
    const status = await command(first, "status");
    expect(status.stdout).toContain("\nCluster    4 replicas, 1 silent\n");
    expect(status.stdout).toContain(`  ${gone} does not answer (`);
    expect(status.code).toBe(1);
    expect((await command(first, "doctor", "--offline")).stdout).toContain(
      `${gone} does not answer`,
    );
    await postgres.query(`delete from entrepot.replicas where id = '${gone}'`, url);
    await until(async () => (await metric(first, problem)) === 0, { what: "it to be over" });
    await Promise.all(replicas.all.map(isUp));
  },
);

realTest("after a 429 of one replica, no other asks", async () => {
  const { first, others } = parts();
  push("limited", "limited");
  upstream.respond(() => faults.tooManyRequests("60"));
  expect(await pull(first, "limited")).toBe(503);
  await atAll("the limit", async (replica) => {
    const [reg] = (await statusOf(replica)).upstreams;
    return reg?.addresses.some(({ rateLimitedUntil }) => rateLimitedUntil !== undefined) ?? false;
  });
  upstream.forget();
  for (const replica of others) await pull(replica, "limited");
  expect(upstream.requests()).toEqual([]);
});
