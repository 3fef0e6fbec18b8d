import { afterAll, beforeAll, expect } from "bun:test";
import { writeFile } from "node:fs/promises";
import { jobOf, orderJob } from "./harness/cache/admin-jobs.ts";
import type { Entrepot } from "./harness/cache/entrepot.ts";
import { textImage } from "./harness/images/images.ts";
import { real, realTest } from "./harness/real-components.ts";
import {
  type ScriptedUpstream,
  startScriptedUpstream,
} from "./harness/registries/scripted-upstream.ts";
import { type Postgres, startPostgres } from "./harness/replicas/postgres.ts";
import { type Replicas, startReplicas } from "./harness/replicas/replicas.ts";
import { type TempDir, tempDir } from "./harness/temp-dir.ts";
import { until } from "./harness/waiting.ts";

const DAY = 24 * 3_600_000;

let dir: TempDir;
let postgres: Postgres;
let upstream: ScriptedUpstream;
let replicas: Replicas;
let database: string;

beforeAll(async () => {
  if (!real.available) return;
  [dir, postgres, upstream] = await Promise.all([
    tempDir("cluster-cool-down"),
    startPostgres(),
    startScriptedUpstream(),
  ]);
  const urlFile = dir.file("database");
  database = await postgres.database();
  await writeFile(urlFile, database);
  replicas = await startReplicas({
    url: upstream.url,
    cluster: () => ({ database: { urlFile } }),
    // They ask at each pull.
    upstream: () => ({ tagTtl: "0s" }),
    config: {
      policies: [
        { match: "reg.test/named", minAge: "3d", digests: "hold" },
        { match: "reg.test/**", minAge: "3d" },
      ],
    },
  });
  await Promise.all(replicas.all.map(isUp));
});

afterAll(async () => {
  await replicas?.[Symbol.asyncDispose]();
  await upstream?.[Symbol.asyncDispose]();
  await postgres?.[Symbol.asyncDispose]();
  await dir?.[Symbol.asyncDispose]();
});

async function isUp(one: Entrepot): Promise<void> {
  const state = async (): Promise<string> => {
    const response = await one.getAdmin("/api/v1/status");
    // Its schema is checked by other tests.
    const { cluster } = (await response.json()) as { cluster: { ledger: { state: string } } };
    return cluster.ledger.state;
  };
  await until(async () => (await state()) === "up", { what: "the ledger" });
}

/** By its number: each has a volume of its own. */
function replica(number: number): Entrepot {
  const found = replicas.all[number];
  if (!found) throw new Error(`there is no replica ${number}`);
  return found;
}

/** What a client gets of a tag, and what it is told. */
async function pull(number: number, tag: string): Promise<{ digest: string; warning: string }> {
  const response = await replica(number).get(`/v2/app/manifests/${tag}?ns=reg.test`);
  await response.bytes();
  return {
    digest: response.headers.get("docker-content-digest") ?? String(response.status),
    warning: response.headers.get("warning") ?? "",
  };
}

/** Has the registry's tag point to another image, whose digest is returned. */
function push(tag: string, text: string): string {
  const image = textImage({ text: `${tag} ${text}` });
  upstream.add("app", image, tag);
  return image.manifest.digest;
}

async function stays(tag: string): Promise<number> {
  const [row] = await postgres.query(
    `select jsonb_array_length(stays) as count from entrepot.tag_history where tag = '${tag}'`,
    database,
  );
  return Number(row?.["count"] ?? 0);
}

/** As if what the replicas have told of a tag so far was told so many days ago. */
async function age(tag: string, days: number): Promise<void> {
  await postgres.query(
    `update entrepot.tag_history set stays = (
      select jsonb_agg(jsonb_set(
        jsonb_set(stay, '{firstSeen}', to_jsonb((stay->>'firstSeen')::float8 - ${days * DAY})),
        '{lastSeen}', to_jsonb((stay->>'lastSeen')::float8 - ${days * DAY})) order by number)
      from jsonb_array_elements(stays) with ordinality as one (stay, number)
    ) where tag = '${tag}'`,
    database,
  );
}

/** A tag that the first replica has known for days, and saw move just now. */
async function moved(tag: string): Promise<{ before: string; now: string }> {
  const before = push(tag, "before");
  expect(await pull(0, tag)).toEqual({ digest: before, warning: "" });
  await until(async () => (await stays(tag)) === 1, { what: "what was seen to be told" });
  await age(tag, 9);
  const now = push(tag, "now");
  expect((await pull(0, tag)).digest).toBe(before);
  await until(async () => (await stays(tag)) === 2, { what: "the move to be told" });
  return { before, now };
}

realTest(
  "a replica with an empty volume holds a tag that another one has known before",
  async () => {
    const { before, now } = await moved("1");
    const held = await pull(1, "1");
    expect(held.digest).toBe(before);
    expect(held.warning).toMatch(
      /^299 - "held: reg\.test\/app:1 moved (?:just now|.* ago), this is the digest before; entrepot release reg\.test\/app:1"$/,
    );
    // By when the first one saw it, and not by when it is asked for here.
    await age("1", 3);
    expect(await pull(2, "1")).toEqual({ digest: now, warning: "" });
  },
);

realTest("a purge makes no tag new, at whichever replica", async () => {
  const { before } = await moved("2");
  const job = jobOf(
    await orderJob(replica(0).adminAddress, "purge", { pattern: "reg.test/app:2" }),
  );
  expect(job).toMatchObject({ result: { replicas: { reached: 3, of: 3 } } });
  for (const number of [0, 1, 2]) expect((await pull(number, "2")).digest).toBe(before);
});

realTest("what is pulled by its tag from one replica has its parts from the others", async () => {
  const image = textImage({ text: "named" });
  upstream.add("named", image, "5");
  const get = async (number: number, path: string): Promise<number> => {
    const response = await replica(number).get(`/v2/named/${path}?ns=reg.test`);
    await response.bytes();
    return response.status;
  };
  const { manifest, blobs } = image;
  const [config] = blobs.map(({ digest }) => digest);
  expect(await get(1, `blobs/${config}`)).toBe(403);
  expect(await get(0, "manifests/5")).toBe(200);
  await until(async () => (await stays("5")) === 1, { what: "what was seen to be told" });
  await age("5", 9);
  expect(await get(1, `manifests/${manifest.digest}`)).toBe(200);
  expect(await get(2, `blobs/${config}`)).toBe(200);
});

/** Orders something of a replica, and returns at how many it holds, and what was made of it. */
async function order(number: number, path: string, body: object) {
  const response = await replica(number).getAdmin(`/api/v1/overrides${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  // Its schema is checked by other tests.
  const { overrides, replicas: reach } = (await response.json()) as {
    overrides: readonly { id: string }[];
    replicas: { reached: number; of: number; ledger: string };
  };
  return { id: overrides[0]?.id ?? "", ...reach };
}

realTest("what an operator decides at one replica holds at all, and ends at all", async () => {
  const { before, now } = await moved("6");
  const digests = async (): Promise<string[]> => {
    const all = await Promise.all([0, 1, 2].map((number) => pull(number, "6")));
    return all.map(({ digest }) => digest);
  };
  expect(await digests()).toEqual([before, before, before]);
  const all = { reached: 3, of: 3, ledger: "up" };
  const image = "reg.test/app:6";
  expect(await order(1, "", { kind: "release", image, reason: "looked at" })).toMatchObject(all);
  expect(await digests()).toEqual([now, now, now]);
  const freeze = { kind: "freeze", pattern: image, asOf: Date.now() - DAY, reason: "an incident" };
  const { id, ...reach } = await order(2, "", freeze);
  expect(reach).toMatchObject(all);
  expect(await digests()).toEqual([before, before, before]);
  expect(await order(0, `/${id}/end`, { reason: "over" })).toMatchObject(all);
  expect(await digests()).toEqual([now, now, now]);
});

realTest(
  "of two rollbacks of a tag that two replicas are given at once, all replicas follow the same one",
  async () => {
    const { before: first } = await moved("7");
    await age("7", 9);
    const second = push("7", "second");
    expect((await pull(0, "7")).digest).not.toBe(first);
    await until(async () => (await stays("7")) === 3, { what: "the second move to be told" });
    const image = "reg.test/app:7";
    const middle = (await pull(0, "7")).digest;
    expect(new Set([first, middle, second]).size).toBe(3);
    const targets = [first, middle];
    const give = (number: number) =>
      order(number, "", { kind: "rollback", image, to: targets[number], reason: "at once" });
    const same = async (): Promise<string | false> => {
      const all = await Promise.all([0, 1, 2].map((number) => pull(number, "7")));
      const [digest = "", ...others] = all.map((one) => one.digest);
      return others.every((other) => other === digest) && digest;
    };
    const ids = async (number: number): Promise<string[]> => {
      const response = await replica(number).getAdmin("/api/v1/overrides?active=true");
      // Its schema is checked by other tests.
      const { items } = (await response.json()) as { items: { id: string; pattern: string }[] };
      return items.filter(({ pattern }) => pattern === image).map(({ id }) => id);
    };
    expect(await same()).toBe(middle);
    for (const round of [1, 2, 3, 4]) {
      // The last ones are given while neither can hear of the other.
      const isAway = round === 4;
      if (isAway) await postgres.stop();
      const given = await Promise.all([give(0), give(1)]);
      if (isAway) {
        expect(given.map(({ ledger }) => ledger)).toEqual(["away", "away"]);
        await postgres.start();
        const told = async () => (await ids(2)).length === 2 && (await ids(0)).length === 2;
        await until(async () => (await told()) && (await ids(1)).length === 2, {
          what: "both to be told to all",
          within: 20_000,
        });
      }
      const digest = await same();
      expect(targets).toContain(String(digest));
      const [deciding = "", other = ""] = await ids(2);
      expect([await ids(0), await ids(1)]).toEqual([
        [deciding, other],
        [deciding, other],
      ]);
      const at = given.findIndex(({ id }) => id === deciding);
      expect(digest).toBe(targets[at] ?? "");
      if (isAway) {
        // The same from what the others tell it.
        await replica(0).stop();
        await replicas.replace(0);
        await isUp(replica(0));
        await until(async () => (await ids(0)).length === 2, { what: "both to be heard of" });
        expect(await ids(0)).toEqual([deciding, other]);
        expect(await same()).toBe(digest);
      }
      await order(2, `/${deciding}/end`, { reason: "over" });
      expect(await same()).toBe(targets[1 - at] ?? "");
      await order(0, `/${other}/end`, { reason: "over" });
    }
  },
);

realTest("a replica that has lost its volume holds by what the others have seen", async () => {
  const { before } = await moved("3");
  await replica(0).stop();
  await replicas.replace(0);
  await isUp(replica(0));
  expect((await pull(0, "3")).digest).toBe(before);
});

realTest(
  "without the database a replica serves a tag of which it knows nothing, and holds it once it hears of it",
  async () => {
    const { before, now } = await moved("4");
    await postgres.stop();
    try {
      expect((await pull(1, "4")).digest).toBe(now);
    } finally {
      await postgres.start();
    }
    await until(async () => (await pull(1, "4")).digest === before, {
      what: "the digest before",
      within: 15_000,
    });
  },
);
