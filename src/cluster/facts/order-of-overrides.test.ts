import { expect, test } from "bun:test";
import {
  array,
  assert,
  asyncProperty,
  constant,
  constantFrom,
  nat,
  oneof,
  record,
} from "fast-check";
import {
  type Replica,
  type Replicas,
  replicas,
  smallImage,
} from "../../../test/harness/replicas/linked-replicas.ts";
import type { Override } from "../../store/override-store.ts";
import { ORDERS_KEPT_MS } from "../ledger/ledger.ts";
import { tag } from "../../upstream/upstreamtest/test-servers.ts";

const DAY = 24 * 3_600_000;
/** What is given at a replica whose clock is behind is later all the same than what it knows. */
const AHEAD = { one: 90, two: -70, three: 0 };
const DIGESTS = ["a", "b", "c", "d"].map((text) => smallImage(text).digest);

type Name = keyof typeof AHEAD;
type Step =
  | { readonly kind: "hold" | "rollback" | "freeze"; readonly at: Name; readonly image: number }
  | { readonly kind: "end"; readonly at: Name; readonly which: number }
  | { readonly kind: "away" | "back" | "restart"; readonly at: Name }
  /** Time passes; the ledger is made anew, which no connection to it outlives; what was told is heard. */
  | { readonly kind: "pass" | "lost" | "hear" };

const at = constantFrom<Name>("one", "two", "three");
const steps = oneof(
  {
    weight: 8,
    arbitrary: record({
      kind: constantFrom("hold" as const, "rollback" as const, "freeze" as const),
      at,
      image: nat(DIGESTS.length - 1),
    }),
  },
  { weight: 1, arbitrary: record({ kind: constant("end" as const), at, which: nat(3) }) },
  { weight: 3, arbitrary: record({ kind: constantFrom("away" as const, "back" as const), at }) },
  { weight: 1, arbitrary: record({ kind: constant("restart" as const), at }) },
  {
    weight: 2,
    arbitrary: record({ kind: constantFrom("pass" as const, "lost" as const, "hear" as const) }),
  },
);

/** What happens to one tag at three replicas. */
class Run {
  readonly #replicas: Replicas;
  readonly #tag: string;
  /** Pairs of which the first one was known where the second one was given. */
  readonly #known: (readonly [string, string])[] = [];

  constructor(among: Replicas, number: number) {
    this.#replicas = among;
    this.#tag = `t${number}`;
  }

  async take(step: Step): Promise<void> {
    const { clock, shared } = this.#replicas;
    switch (step.kind) {
      case "pass":
        clock.now += 1;
        return;
      case "lost": {
        const reached = this.#replicas.all.filter(({ ledger }) => ledger.state.state === "up");
        for (const { ledger } of reached) ledger.away();
        shared.orders.clear();
        for (const { ledger } of reached) ledger.back();
        return;
      }
      case "hear":
        return this.#replicas.settled();
      case "away":
      case "back":
        return this.#replicas[step.at].ledger[step.kind]();
      case "restart":
        await this.#replicas.restart(step.at);
        return;
      case "end": {
        const replica = this.#replicas[step.at];
        const override = this.#all(replica)[step.which];
        if (!override || override.ended) return;
        const ended = { at: replica.now(), by: step.at, reason: "over" };
        return this.#give(replica, { ...override, ended });
      }
      default: {
        const replica = this.#replicas[step.at];
        const now = replica.now();
        const id = crypto.randomUUID();
        for (const { id: known } of this.#all(replica)) this.#known.push([known, id]);
        const { image, kind } = step;
        const digest = DIGESTS[image] ?? smallImage("a").digest;
        return this.#give(replica, {
          id,
          kind,
          pattern: `reg.test/app:${this.#tag}`,
          ...(kind === "freeze" ? { asOf: now - (image + 0.5) * DAY } : { digest }),
          reason: "a test",
          by: step.at,
          since: now,
          until: now + DAY / 24,
          stamp: replica.overrides.nextStamp(now),
        });
      }
    }
  }

  /** Each replica has heard of everything. */
  async united(): Promise<void> {
    for (const { ledger } of this.#replicas.all) ledger.back();
    // What is told of one's own accord is heard by the others after it.
    for (let round = 0; round < 3; round += 1) await this.#replicas.settled();
  }

  /** What replicas make of it, each by itself. */
  async seen(): Promise<readonly { readonly ids: readonly string[]; readonly served: unknown }[]> {
    return Promise.all(
      this.#replicas.all.map(async (replica) => {
        const now = replica.now();
        const stays = DIGESTS.map((digest, days) => {
          return { digest, firstSeen: now - (days + 1) * DAY, lastSeen: now - days * DAY };
        });
        const { candidates } = await replica.tagPolicy.plan(replica.repo, tag(this.#tag), stays);
        const ids = this.#all(replica).map(({ id }) => id);
        return { ids, served: candidates[0]?.digest };
      }),
    );
  }

  /** From here on, nobody tells of these any more. */
  end(): void {
    this.#replicas.clock.now += 2 * ORDERS_KEPT_MS;
  }

  mustFollowWhatWasKnown(ids: readonly string[]): void {
    const wrong = this.#known.filter(([known, next]) => ids.indexOf(known) < ids.indexOf(next));
    expect(wrong).toEqual([]);
  }

  #all({ overrides }: Replica): readonly Override[] {
    return overrides.all.filter(({ pattern }) => pattern.endsWith(`:${this.#tag}`));
  }

  /** As the admin API does it. */
  async #give({ overrides, facts }: Replica, override: Override): Promise<void> {
    await overrides.put(override);
    await facts.order({ kind: "override", override });
  }
}

test("however overrides of a tag cross each other, all replicas have them in one order", async () => {
  await using among = await replicas({ ahead: AHEAD, awaited: 1 });
  let runs = 0;
  await assert(
    asyncProperty(array(steps, { minLength: 3, maxLength: 14 }), async (sequence) => {
      const run = new Run(among, (runs += 1));
      for (const step of sequence) await run.take(step);
      await run.united();
      const [first, ...others] = await run.seen();
      if (!first) throw new Error("there are three replicas");
      for (const other of others) expect(other).toEqual(first);
      run.mustFollowWhatWasKnown(first.ids);
      // The same from what is kept.
      if (runs % 5 === 0) {
        for (const name of ["one", "two", "three"] as const) await among.restart(name);
        await run.united();
        for (const one of await run.seen()) expect(one).toEqual(first);
      }
      run.end();
    }),
    {
      numRuns: process.env["ENTREPOT_LONG"] === "1" ? 100 : 12,
      examples: [
        // At two replicas within a millisecond, neither of which has heard of the other.
        [
          [
            { kind: "away", at: "two" },
            { kind: "hold", at: "one", image: 1 },
            { kind: "rollback", at: "two", image: 2 },
            { kind: "back", at: "two" },
          ],
        ],
        // While one of them is away, the ledger loses what another one has told it.
        [
          [
            { kind: "away", at: "one" },
            { kind: "hold", at: "three", image: 0 },
            { kind: "lost" },
            { kind: "hold", at: "one", image: 0 },
            { kind: "hold", at: "one", image: 0 },
          ],
        ],
        // At the one whose clock is ahead first.
        [
          [
            { kind: "hold", at: "one", image: 1 },
            { kind: "hear" },
            { kind: "rollback", at: "two", image: 2 },
          ],
        ],
      ],
    },
  );
}, 300_000);
