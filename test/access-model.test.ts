import { expect, test } from "bun:test";
import { AccessWorld } from "./harness/access/access-world.ts";
import { RandomAsks } from "./harness/access/random-asks.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import * as faults from "./harness/faults/faults.ts";
import { randomNumbers } from "./harness/images/random-images.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { until } from "./harness/waiting.ts";

const isLong = process.env["ENTREPOT_LONG"] === "1";
const SECONDS = isLong ? 300 : 4;
const CLIENTS = 8;
const [TTL, STALE_FOR] = [1000, 2000];

const kinds = [
  { name: "Basic credentials, 403", options: {} },
  { name: "tokens, 404", options: { hides: true, tokens: { lifetime: 60_000 } } },
] as const;

test.each(kinds)(
  "random clients see what they may, and nothing else, while all changes and fails: $name",
  async ({ options }) => {
    const seed = Number(process.env["ENTREPOT_SEED"] ?? (isLong ? Date.now() % 100_000 : 7));
    const random = randomNumbers(seed);
    const size = isLong ? { users: 32, repositories: 64 } : { users: 8, repositories: 16 };
    await using world = await AccessWorld.start({ ...size, ...options, random });
    await using dir = await tempDir("access-model");
    const settings = {
      ...localUpstream(world.registry.upstream.url),
      access: "upstream",
      accessTtl: "1s",
      accessStaleFor: "2s",
      tagTtl: "1s",
    };
    const config = { storage: { scrub: 0 }, upstreams: { "reg.test": settings } };
    const start = () => startEntrepot({ config, data: dir.file("data") });
    let cache: Entrepot = await start();
    await using asks = {
      running: new RandomAsks({
        world,
        random,
        address: () => cache.address,
        ttl: TTL,
        staleFor: STALE_FOR,
      }),
      [Symbol.asyncDispose]: () => cache[Symbol.asyncDispose](),
    };
    const { running } = asks;
    const report = (): string => `seed ${seed}, ${JSON.stringify([...running.counts])}`;
    /** Many clients at once, until a moment. */
    const traffic = async (seconds: number, mustGive: boolean): Promise<void> => {
      const end = performance.now() + seconds * 1000;
      const client = async (): Promise<void> => {
        // oxlint-disable-next-line no-await-in-loop -- one request after the other
        while (performance.now() < end) await running.ask(mustGive);
      };
      await Promise.all(Array.from({ length: CLIENTS }, client));
      expect([report(), running.faults.slice(0, 5)]).toEqual([report(), []]);
    };
    const pick = <T>(among: readonly T[]): T => among[Math.floor(random() * among.length)] as T;
    const change = (): void => {
      const [user, repository] = [pick(world.users), pick(world.repositories)];
      if (random() < 0.45) world.revoke(user, repository);
      else if (random() < 0.9) world.grant(user, repository);
      else world.publish(repository, random() < 0.5);
    };
    /** Each in turn: what the registry does meanwhile. */
    const troubles: Parameters<AccessWorld["fails"]>[0][] = [
      () => faults.errorResponse(503),
      () => faults.tooManyRequests("1"),
      async () => {
        // It decides after that.
        if (random() < 0.5) await Bun.sleep(1500);
        return undefined;
      },
    ];

    // Nothing fails and nothing changes: what may be seen is given.
    await traffic(SECONDS / 4, true);
    const deadline = performance.now() + SECONDS * 1000;
    for (let round = 0; performance.now() < deadline; round += 1) {
      const changing = setInterval(change, 20);
      try {
        // oxlint-disable-next-line no-await-in-loop -- one round after the other
        await traffic(1.5, false);
        world.fails(troubles[round % troubles.length]);
        // oxlint-disable-next-line no-await-in-loop -- one round after the other
        await traffic(1.5, false);
      } finally {
        clearInterval(changing);
        world.fails();
      }
      if (round % 3 === 2) {
        // oxlint-disable-next-line no-await-in-loop -- one round after the other
        await cache.stop();
        // oxlint-disable-next-line no-await-in-loop -- one round after the other
        cache = await start();
      }
    }
    // In the end, all that may be seen is given.
    world.fails();
    let last = "";
    const given = async () => {
      const before = running.faults.length;
      await traffic(0.2, true).catch(() => {});
      const isGiven = running.faults.length === before;
      last = running.faults.slice(before, before + 3).join("\n");
      if (
        !isGiven &&
        running.faults.slice(before).every((one) => one.startsWith("it was not given"))
      )
        running.faults.length = before;
      return isGiven;
    };
    await until(given, {
      what: "everything to be given",
      within: 30_000,
      detail: () => `${report()}\n${last}`,
    });
    expect(running.faults).toEqual([]);
    // What is taken away is seen no longer than that, by however many clients who go on asking.
    for (const user of world.users) {
      for (const repository of world.repositories)
        if (random() < 0.5) world.revoke(user, repository);
    }
    await traffic(5, false);
    expect(running.counts.get("content 200") ?? 0).toBeGreaterThan(50);
    expect(running.counts.get("content 401") ?? 0).toBeGreaterThan(20);
  },
  (SECONDS * 4 + 120) * 1000,
);
