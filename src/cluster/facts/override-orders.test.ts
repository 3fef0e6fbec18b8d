import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  type Replica,
  type Replicas,
  replicas,
} from "../../../test/harness/replicas/linked-replicas.ts";
import type { Override } from "../../store/override-store.ts";
import { newOrderId } from "../ledger/facts.ts";
import { agesOfOverride } from "../ledger/override-ages.ts";

const DAY = 24 * 3_600_000;

let at: Replicas;
beforeAll(async () => {
  at = await replicas();
});
afterAll(() => at[Symbol.asyncDispose]());

function freezeOf(pattern: string, more: Partial<Override> = {}): Override {
  const id = crypto.randomUUID();
  const since = at.clock.now;
  return { id, kind: "freeze", pattern, asOf: since - DAY, reason: "r", by: "ops", since, ...more };
}

/** As the admin API does it. */
async function give({ overrides, facts }: Replica, override: Override) {
  await overrides.put(override);
  return facts.order({ kind: "override", override });
}

function end(replica: Replica, override: Override, by: string) {
  return give(replica, { ...override, ended: { at: at.clock.now, by, reason: "over" } });
}

/** What a replica knows of an override: whether it holds, or who ended it. */
function stateOf({ overrides }: Replica, { id }: Override): string {
  const known = overrides.get(id);
  return known ? (known.ended?.by ?? "holds") : "unknown";
}

const states = (override: Override): string[] => at.all.map((each) => stateOf(each, override));

test("an override holds at all replicas, by the clock of each, and so does its end", async () => {
  const freeze = freezeOf("reg.test/a:*", { until: at.clock.now + DAY });
  expect(await give(at.one, freeze)).toEqual({
    reached: 3,
    of: 3,
    ledger: "up",
    images: 0,
    refused: 0,
  });
  for (const { overrides } of at.all) expect(overrides.get(freeze.id)).toEqual(freeze);
  at.clock.now += 10;
  expect(await end(at.two, freeze, "two")).toMatchObject({ reached: 3 });
  expect(states(freeze)).toEqual(["two", "two", "two"]);
  // It is kept.
  await at.restart("three");
  expect(stateOf(at.three, freeze)).toBe("two");
});

test("a replica that was away during a freeze and its end knows neither before it is back, and then both", async () => {
  const [kept, ended] = [freezeOf("reg.test/b:*"), freezeOf("reg.test/c:*")];
  at.three.ledger.away();
  await give(at.one, kept);
  await give(at.one, ended);
  at.clock.now += 1000;
  await end(at.one, ended, "one");
  expect([stateOf(at.three, kept), stateOf(at.three, ended)]).toEqual(["unknown", "unknown"]);
  at.clock.now += DAY;
  at.three.ledger.back();
  await at.settled();
  await at.settled();
  expect(states(kept)).toEqual(["holds", "holds", "holds"]);
  expect(states(ended)).toEqual(["one", "one", "one"]);
  expect(at.three.overrides.get(kept.id)).toEqual(kept);
});

test("with the ledger away an override holds here, says so, and is told when it is back, also after a restart", async () => {
  at.two.ledger.away();
  const freeze = freezeOf("reg.test/d:*");
  expect(await give(at.two, freeze)).toMatchObject({ reached: 1, of: 3, ledger: "away" });
  expect(states(freeze)).toEqual(["unknown", "holds", "unknown"]);
  at.clock.now += 1000;
  await at.restart("two");
  await at.settled();
  await at.settled();
  expect(states(freeze)).toEqual(["holds", "holds", "holds"]);
  expect(at.one.overrides.get(freeze.id)).toEqual(freeze);
});

test("an end that is told late counts, whatever was told meanwhile", async () => {
  const freeze = freezeOf("reg.test/e:*");
  await give(at.one, freeze);
  at.three.ledger.away();
  at.clock.now += 1000;
  await end(at.three, freeze, "three");
  at.clock.now += 1000;
  // Given by one that did not know of the end.
  const longer = { ...freeze, until: at.clock.now + DAY };
  await give(at.two, longer);
  expect(at.one.overrides.get(freeze.id)).toEqual(longer);
  at.three.ledger.back();
  await at.settled();
  await at.settled();
  expect(states(freeze)).toEqual(["three", "three", "three"]);
  // Nor is it undone by one that is told again.
  await at.restart("two");
  await at.settled();
  expect(states(freeze)).toEqual(["three", "three", "three"]);
});

test("of two replicas that end one override, or change it, at once, all believe the later one", async () => {
  for (const order of [
    ["one", "two"],
    ["two", "one"],
  ] as const) {
    const [ended, changed] = [freezeOf("reg.test/f:*"), freezeOf("reg.test/g:*")];
    await give(at.three, ended);
    await give(at.three, changed);
    const [first, second] = order.map((name) => at[name]);
    if (!first || !second) throw new Error("two replicas");
    first.ledger.away();
    second.ledger.away();
    at.clock.now += 10;
    await end(at.one, ended, "one");
    await give(at.one, { ...changed, until: at.clock.now + 1 });
    at.clock.now += 10;
    await end(at.two, ended, "two");
    await give(at.two, { ...changed, until: at.clock.now + 2 });
    const until = at.clock.now + 2;
    for (const { ledger } of [first, second]) {
      ledger.back();
      await at.settled();
      await at.settled();
    }
    expect(states(ended)).toEqual(["two", "two", "two"]);
    for (const { overrides } of at.all) expect(overrides.get(changed.id)?.until).toBe(until);
  }
  const freeze = freezeOf("reg.test/h:*");
  await give(at.one, freeze);
  at.clock.now += 1;
  await Promise.all([end(at.one, freeze, "one"), end(at.two, freeze, "two")]);
  await at.settled();
  expect(new Set(states(freeze)).size).toBe(1);
});

test("what is decided by one that was alone, and what a ledger has lost, is told to a replica that begins", async () => {
  const { one, two } = at;
  const alone = freezeOf("reg.test/i:*");
  // Without telling anybody.
  await one.overrides.put(alone);
  const past = freezeOf("reg.test/j:*", {
    since: at.clock.now - 9 * DAY,
    until: at.clock.now - 8 * DAY,
  });
  await one.overrides.put(past);
  const [lost, over] = [freezeOf("reg.test/k:*"), freezeOf("reg.test/l:*")];
  await give(two, lost);
  await give(two, over);
  at.clock.now += 1;
  await end(two, over, "two");
  at.shared.orders.clear();
  await at.restart("one");
  await at.settled();
  await at.settled();
  expect(states(alone)).toEqual(["holds", "holds", "holds"]);
  expect(states(past)).toEqual(["holds", "unknown", "unknown"]);
  const told = [...at.shared.orders.values()].flatMap(({ order }) =>
    order.kind === "override" ? [order.override.id] : [],
  );
  expect(told).toContain(lost.id);
  expect(told).toContain(over.id);
  expect(new Set(told).size).toBe(told.length);
});

test("an override that makes no sense is refused, and said so", async () => {
  const bad = freezeOf("**//:$(true)");
  await at.one.ledger.order({
    kind: "override",
    id: newOrderId(),
    override: agesOfOverride(bad, at.clock.now),
    ageMs: -5,
  });
  await at.settled();
  expect(stateOf(at.two, bad)).toBe("unknown");
  expect(at.two.refused.at(-1)).toStartWith(`freeze ${bad.pattern}: `);
});
