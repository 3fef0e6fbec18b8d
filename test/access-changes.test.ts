import { describe, expect } from "bun:test";
import { type Entrepot, startEntrepot } from "./harness/cache/entrepot.ts";
import { textImage } from "./harness/images/images.ts";
import { longRealTest, realTest } from "./harness/real-components.ts";
import {
  type Challenge,
  type GuardedRegistry,
  startGuardedRegistry,
} from "./harness/registries/guarded-registry.ts";
import { basic } from "./harness/registries/recording-relay.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { until } from "./harness/waiting.ts";

const image = textImage({ text: "for alice, as long as her registry says so" });
const PATHS = [
  "manifests/1",
  `manifests/${image.manifest.digest}`,
  ...image.blobs.map(({ digest }) => `blobs/${digest}`),
];
const ALICE = basic("alice", "of-alice");
const BOB = basic("bob", "of-bob");

async function setUp(challenge: Challenge, settings: object) {
  await using stack = new AsyncDisposableStack();
  const pullers = new Set<string | undefined>(["alice"]);
  const registry = stack.use(
    await startGuardedRegistry({
      challenge,
      users: { alice: "of-alice", ...(challenge === "Bearer" ? { bob: "of-bob" } : {}) },
      mayPull: (user, repository) => repository === "org/public" || pullers.has(user),
    }),
  );
  for (const repository of ["org/app", "org/public"]) await registry.push(image, repository, "1");
  registry.take();
  const dir = stack.use(await tempDir("access"));
  const upstream = { ...registry.settings, access: "upstream", ...settings };
  const start = () =>
    startEntrepot({ config: { upstreams: { "reg.test": upstream } }, data: dir.file("data") });
  const owned = stack.move();
  return {
    registry,
    start,
    /** At the registry, alice may not pull from now on. */
    async revoke(): Promise<void> {
      pullers.delete("alice");
      if (challenge === "Basic") await registry.setUsers({});
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** The statuses of everything that a pull asks for. */
async function statuses(
  cache: Entrepot,
  authorization: string | undefined,
  repository = "org/app",
): Promise<number[]> {
  const headers = authorization === undefined ? {} : { authorization };
  return Promise.all(
    PATHS.map(async (path) => {
      const response = await cache.get(`/v2/${repository}/${path}?ns=reg.test`, { headers });
      await response.arrayBuffer();
      return response.status;
    }),
  );
}

const all = (status: number): number[] => PATHS.map(() => status);

const isOf = (user: string) => (one: GuardedRequestLike) => one.credentials.endsWith(` ${user}`);
type GuardedRequestLike = ReturnType<GuardedRegistry["take"]>[number];

describe.each(["Basic", "Bearer"] as const)("at a registry that asks for %s", (challenge) => {
  // What follows from how it asks is tested at both. The rest takes long.
  const slowTest = challenge === "Bearer" ? realTest : longRealTest;

  realTest("hits cost the registry nothing while a verdict holds", async () => {
    await using at = await setUp(challenge, { accessTtl: "1h" });
    await using cache = await at.start();
    expect(await statuses(cache, ALICE)).toEqual(all(200));
    expect(at.registry.take().some(isOf("alice"))).toBe(true);
    for (let round = 0; round < 5; round++) expect(await statuses(cache, ALICE)).toEqual(all(200));
    expect(at.registry.take()).toEqual([]);
    expect(await statuses(cache, undefined)).toEqual(all(401));
    expect(await statuses(cache, BOB)).toEqual(all(401));
    expect(await statuses(cache, basic("alice", "guessed"))).toEqual(all(401));
  });

  realTest("whoever is revoked in the middle of traffic is refused after accessTtl", async () => {
    await using at = await setUp(challenge, { accessTtl: "2s" });
    await using cache = await at.start();
    expect(await statuses(cache, ALICE)).toEqual(all(200));
    await at.revoke();
    const revokedAt = performance.now();
    const seen = new Set<number>();
    let refusedAt = 0;
    await until(
      async () => {
        const found = await statuses(cache, ALICE);
        for (const status of found) seen.add(status);
        refusedAt = performance.now();
        return found.every((status) => status === 401);
      },
      { what: "alice to be refused", within: 20_000 },
    );
    expect(seen).toEqual(new Set([200, 401]));
    // And the time of one round of requests, on a busy machine.
    expect(refusedAt - revokedAt).toBeLessThan(5_000);
    // For good.
    expect(await statuses(cache, ALICE)).toEqual(all(401));
  });

  slowTest(
    "while the registry is away, a verdict holds for accessStaleFor, and no new one is given",
    async () => {
      await using at = await setUp(challenge, { accessTtl: "0s", accessStaleFor: "8s" });
      await using cache = await at.start();
      if (challenge === "Bearer")
        expect(await statuses(cache, undefined, "org/public")).toEqual(all(200));
      const askedAt = performance.now();
      expect(await statuses(cache, ALICE)).toEqual(all(200));
      const grantedAt = performance.now();
      at.registry.setAway(true);
      expect(await statuses(cache, ALICE)).toEqual(all(200));
      if (challenge === "Bearer")
        expect(await statuses(cache, undefined, "org/public")).toEqual(all(200));
      for (const other of [undefined, basic("alice", "guessed"), BOB]) {
        for (const status of await statuses(cache, other))
          expect([401, 502, 503, 504]).toContain(status);
      }
      let lastServedAt = 0;
      await until(
        async () => {
          const sentAt = performance.now();
          const found = await statuses(cache, ALICE);
          if (found.includes(200)) lastServedAt = sentAt;
          return !found.includes(200);
        },
        { what: "the verdict to end", within: 20_000 },
      );
      expect(lastServedAt).toBeLessThan(grantedAt + 8_000);
      // Less the time of a round on a busy machine.
      expect(lastServedAt).toBeGreaterThan(askedAt + 5_000);
      // As soon as the registry says so again.
      at.registry.setAway(false);
      await until(async () => (await statuses(cache, ALICE)).every((status) => status === 200), {
        what: "the registry to be asked again",
        within: 30_000,
      });
    },
  );

  slowTest(
    "after a restart, the registry is asked again, and private content waits for its answer",
    async () => {
      await using at = await setUp(challenge, { accessTtl: "1h" });
      {
        await using cache = await at.start();
        expect(await statuses(cache, ALICE)).toEqual(all(200));
        if (challenge === "Bearer")
          expect(await statuses(cache, undefined, "org/public")).toEqual(all(200));
      }
      at.registry.take();
      {
        await using cache = await at.start();
        expect(await statuses(cache, ALICE)).toEqual(all(200));
        const asked = at.registry.take();
        expect(asked.some(isOf("alice"))).toBe(true);
        // About access alone: the content is here.
        expect(
          asked.filter(({ path, method }) => path.includes("/blobs/") && method === "GET"),
        ).toEqual([]);
      }
      at.registry.setAway(true);
      await using cache = await at.start();
      for (const credentials of [ALICE, undefined])
        for (const status of await statuses(cache, credentials))
          expect([401, 502, 503, 504]).toContain(status);
      if (challenge === "Bearer")
        expect(await statuses(cache, undefined, "org/public")).toEqual(all(200));
    },
  );
});
