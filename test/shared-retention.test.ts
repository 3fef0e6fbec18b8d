import { writeFileSync } from "node:fs";
import { afterAll, expect, test } from "bun:test";
import { CEPH_PACKAGES, startCeph } from "./harness/replicas/ceph.ts";
import { command } from "./harness/cache/commands.ts";
import { type Content, randomContent } from "./harness/images/content.ts";
import type { Entrepot } from "./harness/cache/entrepot.ts";
import { startPostgres } from "./harness/replicas/postgres.ts";
import { isLong, unpackedTests } from "./harness/real-components.ts";
import { digestFrom, startReplicas } from "./harness/replicas/replicas.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { newStore } from "./harness/replicas/shared-stores.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;
/** What happens once in 30 seconds. */
const ROUND = { within: 60_000 };

const cephTest = await unpackedTests("bookworm-ceph", CEPH_PACKAGES);
const longTest = isLong ? cephTest : test.skip;
const closing = new AsyncDisposableStack();
afterAll(() => closing.disposeAsync());

interface Listed {
  readonly digest: string;
  readonly state: string;
}

/** What `ls --shared` says: the digests in each state. */
async function listed(cache: Entrepot): Promise<readonly Listed[]> {
  const { stdout } = await command(cache, "ls", "--shared", "--json");
  // The command's own shape.
  return (JSON.parse(stdout) as { readonly objects: readonly Listed[] }).objects;
}

async function leaderOf(cache: Entrepot): Promise<string | undefined> {
  // The shape is that of the cache's own status.
  const status = (await (await cache.getAdmin("/api/v1/status")).json()) as {
    readonly cluster?: { readonly leader?: { readonly id: string } };
  };
  return status.cluster?.leader?.id;
}

longTest(
  "a shared store above its limit is emptied by whichever replica leads, and every pull goes on",
  async (tree) => {
    const store = await newStore(closing.use(await startCeph(tree)), closing);
    const postgres = closing.use(await startPostgres());
    const database = await postgres.database();
    const dir = closing.use(await tempDir("retention"));
    const urlFile = dir.file("database");
    writeFileSync(urlFile, database);
    const upstream = closing.use(await startScriptedUpstream());
    const replicas = closing.use(
      await startReplicas({
        url: upstream.url,
        count: 2,
        cluster: (_, members) => ({
          members,
          database: { urlFile },
          store: { ...store.settings, maxSize: "20MiB" },
        }),
      }),
    );
    const [one, two] = replicas.all;
    if (!one || !two) throw new Error("there are no replicas");
    const blobs: Content[] = [];
    // One after the other, so that it is known which was used least recently.
    for (let seed = 1; seed <= 8; seed += 1) {
      const blob = randomContent(4 * MIB, seed);
      upstream.addBlob("app", blob);
      blobs.push(blob);
      expect(await digestFrom(one, "app", blob)).toBe(blob.digest);
      await until(async () => (await listed(two)).length === seed, { what: `${seed} objects` });
    }

    // Any replica marks on command: the four that were put first.
    const marked = await command(two, "gc", "--shared");
    expect(marked.stdout).toStartWith("Marked 4 objects, 16 MiB: ");
    const going = async (): Promise<readonly string[]> =>
      (await listed(one)).filter(({ state }) => state === "going").map(({ digest }) => digest);
    const first = blobs.slice(0, 4).map(({ digest }) => digest);
    expect((await going()).toSorted()).toEqual(first.toSorted());
    // A use takes one back.
    const [used] = blobs;
    if (!used) throw new Error("there is no blob");
    expect(await digestFrom(two, "app", used)).toBe(used.digest);
    await until(async () => (await going()).length === 3, { what: "the use", ...ROUND });

    // The leader is stopped, and the other one leads and deletes what has been going for 15 minutes.
    const leader = await until(() => leaderOf(one), { what: "a leader" });
    const stopped = replicas.members[0] === leader ? one : two;
    const other = stopped === one ? two : one;
    process.kill(stopped.pid, "SIGSTOP");
    try {
      await until(async () => (await leaderOf(other)) !== leader, { what: "another leader" });
      await postgres.query(
        "update entrepot.objects set going_since = going_since - interval '20 minutes'",
        database,
      );
      await until(async () => (await listed(other)).length === 5, { what: "eviction", ...ROUND });
    } finally {
      process.kill(stopped.pid, "SIGCONT");
    }
    const left = await Array.fromAsync(store.objects.list());
    const rows = (await listed(other)).map(({ digest }) => digest);
    expect(left.map(({ digest }) => String(digest))).toEqual([...rows]);
    expect(rows).toContain(used.digest);
    // What is gone is not missed.
    for (const replica of replicas.all) {
      for (const blob of blobs) expect(await digestFrom(replica, "app", blob)).toBe(blob.digest);
    }
    expect((await command(one, "fsck", "--shared")).stdout).toContain(
      "All objects match their digests.",
    );
    const metrics = await (await other.getAdmin("/metrics")).text();
    expect(metrics).toContain("entrepot_store_evicted_total 3");
  },
  240_000,
);
