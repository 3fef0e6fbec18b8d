import { afterAll, beforeAll, expect, test } from "bun:test";
import { setImmediate } from "node:timers/promises";
import {
  type Arbitrary,
  array,
  assert,
  asyncProperty,
  constant,
  constantFrom,
  integer,
  oneof,
  record,
} from "fast-check";
import {
  type Replicas,
  replicas,
  smallImage,
} from "../../../test/harness/replicas/linked-replicas.ts";
import { type Served, violations } from "../../../test/harness/replicas/tag-history.ts";

const TTL = 30_000;
const RUNS = process.env["ENTREPOT_LONG"] === "1" ? 1000 : 20;

let at: Replicas;
beforeAll(async () => {
  at = await replicas();
});
afterAll(() => at[Symbol.asyncDispose]());

type Name = "one" | "two" | "three";
const name = constantFrom<Name>("one", "two", "three");
const steps = oneof(
  { weight: 2, arbitrary: record({ kind: constant("push" as const) }) },
  { weight: 5, arbitrary: record({ kind: constant("pull" as const), name }) },
  {
    weight: 3,
    arbitrary: record({
      kind: constant("wait" as const),
      ms: oneof(integer({ min: 1, max: 10 }), integer({ min: 1, max: TTL + 10 })),
    }),
  },
  { weight: 1, arbitrary: record({ kind: constant("away" as const), name }) },
  { weight: 1, arbitrary: record({ kind: constant("back" as const), name }) },
  // A replica's request is answered, and the answer arrives after others have learnt more.
  {
    weight: 2,
    arbitrary: record({ kind: constant("overtaken" as const), name, other: name }),
  },
);
type Step = typeof steps extends Arbitrary<infer Value> ? Value : never;

let run = 0;

/** Lets other work go on, for as many turns of the event loop. */
async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await setImmediate();
}

/** Plays a history of one tag. */
async function play(script: readonly Step[]) {
  run += 1;
  const tag = `t${run}`;
  const versions: string[] = [];
  const pushed: number[] = [];
  const served: Served[] = [];
  const push = (): void => {
    const image = smallImage(`${tag} ${versions.length}`);
    at.push(tag, image);
    versions.push(image.digest);
    pushed.push(at.clock.now);
    at.clock.now += 1;
  };
  const pull = async (replica: Name): Promise<void> => {
    at.clock.now += 1;
    const from = at.clock.now;
    const { digest } = await at[replica].pull(tag);
    at.clock.now += 1;
    served.push({ replica, version: versions.indexOf(digest), from, until: at.clock.now });
  };
  push();
  for (const step of script) {
    switch (step.kind) {
      case "push":
        push();
        break;
      case "pull":
        await pull(step.name);
        break;
      case "wait":
        at.clock.now += step.ms;
        break;
      case "away":
        at[step.name].ledger.away();
        break;
      case "back":
        at[step.name].ledger.back();
        break;
      case "overtaken": {
        const { promise, resolve } = Promise.withResolvers<void>();
        at.held = promise;
        const slow = pull(step.name);
        // What is fresh needs no answer.
        await Promise.race([at.answered(), slow]);
        at.held = undefined;
        push();
        if (step.other !== step.name) await pull(step.other);
        await at.settled();
        // It may be told by the other one, or wait for its own first question.
        const again = pull(step.name);
        await Promise.race([again, turns(50)]);
        resolve();
        await Promise.all([slow, again]);
        break;
      }
    }
    await at.settled();
  }
  for (const replica of at.all) replica.ledger.back();
  await at.settled();
  return { served, pushed, pull, versions };
}

test("no replica serves an older version after a newer one, nor one that was replaced longer ago than tagTtl", async () => {
  await assert(
    asyncProperty(array(steps, { maxLength: 30 }), async (script) => {
      const history = await play(script);
      expect(violations(history, TTL)).toEqual([]);
      // With the ledger up, what one replica has learnt is what all serve.
      const learnt = Math.max(0, ...history.served.map(({ version }) => version));
      for (const replica of ["one", "two", "three"] as const) {
        await history.pull(replica);
        await at.settled();
        expect(history.served.at(-1)?.version).toBeGreaterThanOrEqual(learnt);
      }
    }),
    { numRuns: RUNS },
  );
}, 600_000);

test("the checker finds an older version after a newer one, and one that is too old", () => {
  const served = [
    { replica: "one", version: 1, from: 10, until: 11 },
    { replica: "one", version: 0, from: 12, until: 13 },
    { replica: "two", version: 0, from: 50, until: 51 },
  ];
  expect(violations({ served, pushed: [0, 5] }, 40)).toEqual([
    "one served version 0 at 12 after it had served version 1",
    "two served version 0 at 50, which was replaced at 5",
  ]);
});
