import { afterAll, describe, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { type Ceph, CEPH_PACKAGES, startCeph } from "./harness/replicas/ceph.ts";
import { type Content, randomContent } from "./harness/images/content.ts";
import type { Entrepot } from "./harness/cache/entrepot.ts";
import { type Postgres, startPostgres } from "./harness/replicas/postgres.ts";
import { isLong, unpackedTests } from "./harness/real-components.ts";
import {
  digestFrom,
  knowsLiving,
  type Replicas,
  startReplicas,
} from "./harness/replicas/replicas.ts";
import {
  type ScriptedUpstream,
  startScriptedUpstream,
} from "./harness/registries/scripted-upstream.ts";
import { tempDir } from "./harness/temp-dir.ts";

const SIZE = 500_000;
/** Of blobs that are pulled at once, at each replica. */
const WIDTH = 4;

/** Of `npm run test:long` alone. */
const cephTest = isLong ? await unpackedTests("bookworm-ceph", CEPH_PACKAGES) : test.skip;
const closing = new AsyncDisposableStack();
afterAll(() => closing.disposeAsync());

interface World {
  readonly postgres: Postgres;
  readonly ceph: Ceph;
  readonly upstream: ScriptedUpstream;
  readonly replicas: Replicas;
}

let starting: Promise<World> | undefined;
let seed = 7_000_000;

/** Three replicas with a ledger and a shared store, for all tests of this file. */
async function start(tree: string): Promise<World> {
  const [dir, postgres, ceph, upstream] = await Promise.all([
    tempDir("cluster-faults"),
    startPostgres(),
    startCeph(tree),
    startScriptedUpstream(),
  ]);
  for (const part of [dir, postgres, ceph, upstream]) closing.use(part);
  const urlFile = dir.file("database");
  await writeFile(urlFile, await postgres.database());
  await ceph.createBucket("images");
  const store = { url: `${ceph.url}/images/cache`, ...ceph.keyFiles };
  const cluster = () => ({ database: { urlFile }, store });
  const replicas = closing.use(await startReplicas({ url: upstream.url, cluster }));
  return { postgres, ceph, upstream, replicas };
}

function newBlobs(upstream: ScriptedUpstream): Content[] {
  const blobs = Array.from({ length: WIDTH }, () => randomContent(SIZE, (seed += 1)));
  for (const blob of blobs) upstream.addBlob("app", blob);
  return blobs;
}

/** What clients of these replicas get that is not the blob they asked for. */
async function failures(asked: readonly Entrepot[], blobs: readonly Content[]): Promise<string[]> {
  const pulls = asked.flatMap((one) =>
    blobs.map(async (blob) => {
      const got = await digestFrom(one, "app", blob);
      return got === blob.digest ? [] : [got];
    }),
  );
  return (await Promise.all(pulls)).flat();
}

function sent({ upstream }: World): number {
  const requests = upstream.requests({ method: "GET", kind: "blob" });
  return requests.reduce((sum, request) => sum + request.sent, 0);
}

interface Trouble {
  readonly begin: (world: World) => Promise<void> | void;
  readonly end: (world: World) => Promise<void> | void;
  /** The replica that clients do not reach meanwhile. */
  readonly without?: number;
}

const TROUBLES: Readonly<Record<string, Trouble>> = {
  "the database hangs": {
    begin: ({ postgres }) => postgres.freeze(),
    end: ({ postgres }) => postgres.thaw(),
  },
  "the database is killed": {
    begin: ({ postgres }) => postgres.stop("SIGQUIT"),
    end: ({ postgres }) => postgres.start(),
  },
  "the store hangs": {
    begin: ({ ceph }) => ceph.freeze(),
    end: ({ ceph }) => ceph.thaw(),
  },
  "the store is killed": {
    begin: ({ ceph }) => ceph.kill(),
    end: ({ ceph }) => ceph.startGateway(),
  },
  "the store is full": {
    begin: ({ ceph }) => ceph.setQuota(4096),
    end: ({ ceph }) => ceph.setQuota(-1),
  },
  "the database and the store hang": {
    async begin({ postgres, ceph }) {
      ceph.freeze();
      await postgres.freeze();
    },
    async end({ postgres, ceph }) {
      ceph.thaw();
      await postgres.thaw();
    },
  },
  "a replica is killed": {
    async begin({ replicas }) {
      await replicas.all[1]?.stop("SIGKILL");
    },
    async end({ replicas }) {
      await replicas.restart(1);
    },
    without: 1,
  },
  "a replica is stopped": {
    begin: ({ replicas }) => replicas.all[2]?.signal("SIGSTOP"),
    end: ({ replicas }) => replicas.all[2]?.signal("SIGCONT"),
    without: 2,
  },
};

describe("no pull fails, and each blob is downloaded once, while", () => {
  for (const [name, { begin, end, without }] of Object.entries(TROUBLES)) {
    cephTest(name, async (tree?: unknown) => {
      const world = await (starting ??= start(String(tree)));
      const { upstream, replicas } = world;
      upstream.forget();
      const before = newBlobs(upstream);
      const beginning = failures(
        replicas.all.filter((_, number) => number !== without),
        before,
      );
      await begin(world);
      const during: Content[] = [];
      try {
        expect(await beginning).toEqual([]);
        const reached = replicas.all.filter((_, number) => number !== without);
        for (let round = 0; round < 5; round += 1) {
          const blobs = newBlobs(upstream);
          during.push(...blobs);
          expect(await failures(reached, [...blobs, ...before])).toEqual([]);
        }
      } finally {
        await end(world);
      }
      await Promise.all(replicas.all.map((replica) => knowsLiving(replica, replicas.all.length)));
      const all = [...before, ...during];
      expect(await failures(replicas.all, all)).toEqual([]);
      // What a replica was downloading when it was killed or stopped is downloaded by another one.
      const again = without === undefined ? 0 : before.length;
      expect(sent(world)).toBeLessThanOrEqual((all.length + again) * SIZE);
    });
  }
});
