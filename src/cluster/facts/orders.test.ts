import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  type Replica,
  type Replicas,
  replicas,
  smallImage,
} from "../../../test/harness/replicas/linked-replicas.ts";
import { newOrderId } from "../ledger/facts.ts";

const TTL = 30_000;

let at: Replicas;
beforeAll(async () => {
  at = await replicas();
});
afterAll(() => at[Symbol.asyncDispose]());

/** Pushes an image that is of this tag alone, and has all replicas pull it. */
async function pulled(name: string): Promise<void> {
  at.push(name, smallImage(name));
  for (const replica of at.all) {
    await replica.pull(name);
    await replica.cache.settled();
  }
  at.clock.now += 1;
}

/** As the admin API does it. */
async function purge({ admin, facts }: Replica, pattern: string) {
  const prepared = await admin.purge(pattern);
  await prepared.run(false);
  return facts.order({ kind: "purge", pattern, platforms: [] });
}

async function pin({ admin, facts }: Replica, pattern: string) {
  await admin.pinning.pin(pattern, [], at.clock.now);
  return facts.order({ kind: "pin", pattern, platforms: [] });
}

async function unpin({ admin, facts }: Replica, pattern: string) {
  await admin.pinning.unpin(pattern);
  return facts.order({ kind: "unpin", pattern, platforms: [] });
}

async function tagsOf({ admin }: Replica): Promise<string[]> {
  return (await Array.fromAsync(await admin.list())).flatMap(({ tag }) => tag ?? []).toSorted();
}

async function pinsOf({ admin }: Replica): Promise<string[]> {
  return (await admin.pinning.saved()).map(({ pattern }) => pattern);
}

test("a purge is carried out at all replicas, and what they tell of it is counted", async () => {
  const { one, two, three } = at;
  await pulled("a");
  await pulled("b");
  const reach = await purge(one, "reg.test/app:a");
  expect(reach).toEqual({ reached: 3, of: 3, ledger: "up", images: 2, refused: 0 });
  for (const replica of [one, two, three]) expect(await tagsOf(replica)).toEqual(["b"]);
  // It is looked up anew, although the ledger knew where it pointed.
  at.push("a", smallImage("another a"));
  expect((await two.pull("a")).digest).toBe(smallImage("another a").digest);
});

test("a purge while the ledger is away is told later, and spares what was stored since", async () => {
  const { one, two, three } = at;
  await pulled("c");
  await pulled("d");
  one.ledger.away();
  expect(await purge(one, "reg.test/app:*")).toEqual({
    reached: 1,
    of: 3,
    ledger: "away",
    images: 0,
    refused: 0,
  });
  expect(await tagsOf(one)).toEqual([]);
  at.clock.now += TTL + 1;
  at.push("d", smallImage("another d"));
  await two.pull("d");
  await two.cache.settled();
  one.ledger.back();
  await at.settled();
  await at.settled();
  expect(await tagsOf(two)).toEqual(["d"]);
  expect(await tagsOf(three)).toEqual([]);
});

test("an order outlasts its replica, and is told once", async () => {
  const { one, two } = at;
  await pulled("e");
  two.ledger.away();
  await purge(two, "reg.test/app:e");
  const told = at.shared.orders.size;
  await at.restart("two");
  await at.settled();
  expect(at.shared.orders.size).toBe(told + 1);
  expect(await tagsOf(one)).not.toContain("e");
  await at.restart("two");
  await at.settled();
  expect(at.shared.orders.size).toBe(told + 1);
});

test("an order that is heard again after a start is not carried out again", async () => {
  const { one } = at;
  await pulled("f");
  await purge(one, "reg.test/app:f");
  await pulled("f");
  await at.restart("two");
  await at.settled();
  expect(await tagsOf(at.two)).toContain("f");
});

test("pins and unpins reach all replicas, and the latest of a pattern counts", async () => {
  const { one, two, three } = at;
  await pulled("g");
  const pattern = "reg.test/app:g";
  expect(await pin(one, pattern)).toMatchObject({ reached: 3, of: 3, images: 2 });
  for (const replica of at.all) expect(await pinsOf(replica)).toEqual([pattern]);
  at.clock.now += 1;
  three.ledger.away();
  two.ledger.away();
  await unpin(three, pattern);
  at.clock.now += 1000;
  await unpin(two, pattern);
  at.clock.now += 1000;
  await pin(two, pattern);
  two.ledger.back();
  await at.settled();
  // It was told later than the pin, and given before it.
  three.ledger.back();
  await at.settled();
  await at.settled();
  for (const replica of at.all) expect(await pinsOf(replica)).toEqual([pattern]);
  at.clock.now += 1;
  await unpin(one, pattern);
  await at.settled();
  for (const replica of at.all) expect(await pinsOf(replica)).toEqual([]);
});

test("what is pinned at another replica is not purged there, and it says so", async () => {
  const { one, two } = at;
  await pulled("h");
  await two.admin.pinning.pin("reg.test/app:h");
  const reach = await purge(one, "reg.test/app:h");
  expect(reach).toEqual({ reached: 2, of: 3, ledger: "up", images: 1, refused: 1 });
  expect(await tagsOf(two)).toContain("h");
  expect(two.refused).toEqual([expect.stringContaining("is pinned by reg.test/app:h")]);
  await two.admin.pinning.unpin("reg.test/app:h");
});

test("what a purge would remove is asked of all, and nothing is removed or noted", async () => {
  const { one, two, three } = at;
  at.push("p", smallImage("p"));
  for (const replica of [two, three]) await replica.pull("p");
  for (const replica of [two, three]) await replica.cache.settled();
  await two.admin.pinning.pin("reg.test/app:p");
  const noted = at.shared.orders.size;
  const reach = await one.facts.preview("reg.test/app:p");
  expect(reach).toEqual({ reached: 2, of: 3, ledger: "up", images: 1, refused: 1 });
  expect(await one.facts.preview("reg.test/nothing:*")).toMatchObject({ reached: 3, images: 0 });
  for (const replica of [two, three]) expect(await tagsOf(replica)).toContain("p");
  expect(at.shared.orders.size).toBe(noted);
  await two.admin.pinning.unpin("reg.test/app:p");
  one.ledger.away();
  expect(await one.facts.preview("reg.test/app:p")).toMatchObject({ reached: 1, ledger: "away" });
  one.ledger.back();
  await at.settled();
});

test("orders that make no sense change nothing", async () => {
  const { one, two } = at;
  const before = await tagsOf(two);
  for (const pattern of ["", "*\n*", "$(true)", "a".repeat(10_000)]) {
    await one.ledger.preview({ kind: "preview", id: newOrderId(), pattern });
    for (const kind of ["purge", "unpin"] as const) {
      await one.ledger.order({ kind, id: newOrderId(), pattern, ageMs: -5 });
    }
    const order = { id: newOrderId(), pattern, platforms: ["\0"], ageMs: Number.MAX_VALUE };
    await one.ledger.order({ kind: "pin", ...order });
  }
  await at.settled();
  expect(await tagsOf(two)).toEqual(before);
  expect(await pinsOf(two)).toEqual([]);
});

test("the same order of all replicas at once is done once by each, and each says so", async () => {
  await pulled("i");
  const reaches = await Promise.all(at.all.map((replica) => purge(replica, "reg.test/app:i")));
  for (const { reached } of reaches) expect(reached).toBe(3);
  for (const replica of at.all) expect(await tagsOf(replica)).not.toContain("i");
});
