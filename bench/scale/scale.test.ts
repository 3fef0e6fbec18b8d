import { expect, test } from "bun:test";
import { simulateDays } from "./days.ts";
import { FLEET, type Fleet } from "./fleet.ts";
import { loadOf, mostImagesPerSecond, usesOf } from "./load.ts";
import { divide, type Rollout, simulateRollout } from "./rollout.ts";

const small = {
  ...FLEET,
  imagesPerSecond: 0.2,
  days: 0.2,
  warmUpDays: 0,
  images: { ...FLEET.images, repositories: 200, meanFanOut: 20 },
};

/** The same pulls, at so many replicas. */
function at(replicas: number, changed: Partial<Fleet> = {}) {
  const fleet = { ...small, replicas, ...changed };
  return { fleet, traffic: simulateDays(fleet) };
}

test("however many replicas there are, each blob is downloaded from its registry once", () => {
  const [one, ten] = [at(1).traffic, at(10).traffic];
  expect(ten.broughtIn.upstream).toBe(one.broughtIn.upstream);
  expect(ten.storePuts).toBe(ten.broughtIn.upstream);
  expect([one.blobs, one.sentBytes]).toEqual([ten.blobs, ten.sentBytes]);
  expect(one.broughtIn.store + one.broughtIn.replica).toBe(0);
});

test("every request is answered from the disk, the store, another replica or the registry", () => {
  const { blobs, hits, broughtIn } = at(10).traffic;
  const others = broughtIn.store + broughtIn.replica + broughtIn.upstream;
  // What the first in the order downloads for another one is a download more than there are requests.
  expect(hits + others - blobs).toBeLessThanOrEqual(broughtIn.replica);
  expect(hits + others).toBeGreaterThanOrEqual(blobs);
});

test("without a store, what it would have sent comes from other replicas", () => {
  const [with_, without] = [at(10).traffic, at(10, { hasStore: false }).traffic];
  expect(without.broughtIn.store + without.storePuts).toBe(0);
  expect(without.broughtIn.replica).toBeGreaterThan(with_.broughtIn.replica);
  expect(without.broughtIn.upstream).toBe(with_.broughtIn.upstream);
});

test("a single machine has no ledger; that of many grows faster than their number", () => {
  const load = (replicas: number) => {
    const { fleet, traffic } = at(replicas);
    return loadOf(fleet, traffic);
  };
  const [one, ten, hundred] = [load(1), load(10), load(100)];
  expect(one.ledgerStatements + one.ledgerConnections).toBe(0);
  expect(hundred.ledgerRows).toBeGreaterThan(50 * ten.ledgerRows);
});

test("a store costs the ledger connections and statements of its own", () => {
  const load = (hasStore: boolean) => {
    const { fleet, traffic } = at(10, { hasStore });
    return loadOf(fleet, traffic);
  };
  const [with_, without] = [load(true), load(false)];
  expect([with_.ledgerConnections, without.ledgerConnections]).toEqual([100, 50]);
  // Each asks every two seconds who leads.
  expect(with_.ledgerStatements - without.ledgerStatements).toBeGreaterThan(5);
});

test("what is possible is found where the first part that grows with the pulls is full", () => {
  const { fleet, traffic } = at(10);
  const load = loadOf(fleet, traffic);
  const parts = [
    { part: "a", used: 0.35, fixed: 0 },
    { part: "b", used: 0.5, fixed: 0.5 },
  ];
  expect(mostImagesPerSecond(load, parts)).toBeCloseTo(2 * load.imagesPerSecond);
  expect(usesOf(fleet, load).map(({ used }) => used)).toEqual(
    usesOf(fleet, load)
      .map(({ used }) => used)
      .sort((one, other) => other - one),
  );
});

const ROLLOUT: Omit<Rollout, "from"> = {
  nodes: 100,
  replicas: 10,
  layers: [300e6, 50e6, 10e6],
  networkBytes: 1e9,
  upstreamBytes: 1e9,
};

test("a new image is downloaded once by a cluster, and by each of independent caches", () => {
  const [cluster, store, alone] = (["replica", "store", "upstream"] as const).map((from) =>
    simulateRollout({ ...ROLLOUT, from }),
  );
  expect(Math.round((cluster?.upstreamBytes ?? 0) / 1e6)).toBe(360);
  expect(store?.upstreamBytes).toBe(0);
  expect(Math.round((alone?.upstreamBytes ?? 0) / 1e6)).toBe(3600);
  expect(Math.round((cluster?.relayedBytes ?? 0) / 1e6)).toBe(2700);
});

test("no rollout is faster than the networks of the replicas", () => {
  for (const replicas of [1, 3, 10, 100]) {
    const { seconds, leastSeconds } = simulateRollout({ ...ROLLOUT, replicas, from: "replica" });
    expect(seconds).toBeGreaterThanOrEqual(leastSeconds * 0.999);
  }
});

test("what one flow cannot use of a network, the others get by their connections", () => {
  const moved = [0, 0, 0];
  const flow = (index: number, weight: number, wanted: number) => ({
    weight,
    wanted,
    move: (bytes: number) => void (moved[index] = bytes),
  });
  divide(100, [flow(0, 1, 10), flow(1, 1, 1000), flow(2, 2, 1000)]);
  expect(moved).toEqual([10, 30, 60]);
});
