import { expect, test } from "bun:test";
import { array, assert, asyncProperty } from "fast-check";
import type { Digest } from "../src/oci/digest.ts";
import type { Override } from "../src/store/override-store.ts";
import { type GovernedCache, type Got, governedCache } from "./harness/cool-down/governed-cache.ts";
import { IMAGES, KNOWN, START, type Step, steps } from "./harness/cool-down/random-steps.ts";
import { type Availability, type Expected, TagModel } from "./harness/cool-down/tag-model.ts";
import { until } from "./harness/waiting.ts";

const isLong = process.env["ENTREPOT_LONG"] === "1";
const RUNS = isLong ? 5000 : 40;
const LIMIT_MS = (isLong ? 1800 : 60) * 1000;

/** A cache and what the rules say of it, side by side. */
class Run {
  readonly #cache: GovernedCache;
  readonly #clock: { now: number };
  readonly #model = new TagModel();
  /** What the tag was served with may be had by its name as well, for nodes ask for it so. */
  readonly #lastResorts = new Set<Digest>();
  #overrides = 0;

  constructor(cache: GovernedCache, clock: { now: number }) {
    this.#cache = cache;
    this.#clock = clock;
  }

  async take(step: Step): Promise<void> {
    const { state } = this.#cache;
    // No two things happen at the same moment.
    this.#clock.now += 1000;
    switch (step.kind) {
      case "move": {
        const moved = IMAGES[step.image];
        if (moved) state.contents.set(moved.digest, moved);
        state.current = moved;
        return;
      }
      case "remove": {
        const removed = IMAGES[step.image];
        if (removed && state.current !== removed) state.contents.delete(removed.digest);
        return;
      }
      case "evict":
        return this.#cache.evict(IMAGES[step.image]?.digest ?? "");
      case "wait":
        this.#clock.now += step.time;
        return;
      case "purge":
        return this.#cache.purge();
      case "restart":
        return this.#cache.restart();
      case "fails":
        state.failure = step.status;
        return;
      case "answers":
        // What the cache remembers of a failure lasts for some seconds of the real clock.
        if (state.failure !== undefined) await this.#cache.restart();
        state.failure = undefined;
        return;
      case "rule":
        this.#model.rule = step.rule;
        return this.#cache.govern(step.rule);
      case "override":
        return this.#put(step);
      case "end":
        return this.#end(step.which);
      case "ask":
        return this.ask();
    }
  }

  async #put({ of, image: index, ago, lasts }: Step & { kind: "override" }): Promise<void> {
    const { now } = this.#clock;
    const digest = IMAGES[index]?.digest;
    // As the commands, which know only digests that the tag was seen to have.
    if (!digest || !this.#model.seen.some((one) => one.digest === digest)) return;
    const { name } = this.#cache;
    const isOfDigest = of === "release" || of === "hold of a digest";
    const override: Override = {
      id: `${name} ${(this.#overrides += 1)}`,
      kind: of === "hold of a digest" ? "hold" : of,
      pattern: isOfDigest ? `${name}@${digest}` : of === "freeze" ? `${name}:*` : `${name}:1`,
      reason: "a test",
      by: "a test",
      since: now,
      ...(of === "hold" || of === "rollback" || of === "release" ? { digest } : {}),
      ...(of === "freeze" ? { asOf: now - ago } : {}),
      ...(lasts === undefined ? {} : { until: now + lasts }),
    };
    await this.#set(override);
  }

  async #end(which: number): Promise<void> {
    const override = [...this.#model.overrides.values()].toReversed()[which];
    if (!override || override.ended) return;
    await this.#set({
      ...override,
      ended: { at: this.#clock.now, by: "a test", reason: "a test" },
    });
  }

  async #set(override: Override): Promise<void> {
    this.#model.overrides.set(override.id, override);
    await this.#cache.overrides.put(override);
  }

  /** On a busy machine, even this registry does not always answer in time, which it is waited for. */
  #answer(asked: () => Promise<Got>): Promise<Got> {
    const isUp = this.#cache.state.failure === undefined;
    const answered = async (): Promise<Got | false> => {
      const got = await asked();
      const isLate = typeof got === "object" ? got.isStale : kindOf(got) === "fails";
      return isUp && isLate ? false : got;
    };
    return until(answered, { what: "the registry to be waited for", within: 30_000 });
  }

  async ask(): Promise<void> {
    const { state } = this.#cache;
    const { now } = this.#clock;
    if (!state.current) {
      // Nobody has pushed anything.
      const missing = state.failure === undefined ? ["not-found"] : [expect.any(String)];
      expect([await this.#cache.get()]).toEqual(missing);
      return;
    }
    const isUp = state.failure === undefined;
    if (isUp) this.#model.see(state.current.digest, now);
    const isKnown = isUp || (await this.#cache.isRecorded());
    const stored = new Set<string>();
    for (const { digest } of IMAGES) if (await this.#cache.isStored(digest)) stored.add(digest);
    const availability = (digest: Digest): Availability => {
      if (stored.has(digest)) return "stored";
      if (!isUp) return "fails";
      return state.contents.has(digest) ? "fetched" : "gone";
    };
    const expected = this.#model.served(now, isKnown, availability);
    const head = await this.#answer(() => this.#cache.head());
    expect(kindOf(head)).toEqual(expected);
    const got = await this.#answer(() => this.#cache.get());
    expect(kindOf(got)).toEqual(expected);
    // What is not as the registry says, says so.
    if (typeof got === "object" && got.digest !== this.#model.seen.at(-1)?.digest)
      expect(got.warning).toMatch(/; entrepot \w+ |has no older digest/);
    const served = typeof expected === "object" ? expected.digest : undefined;
    if (served && this.#model.isLastResort(served, now)) this.#lastResorts.add(served);
    for (const { digest } of this.#model.seen) {
      if (this.#lastResorts.has(digest)) continue;
      const named = kindOf(await this.#cache.named(digest));
      expect([digest, named]).toEqual([
        digest,
        this.#model.mayBeNamed(digest, now) ? { digest } : "held",
      ]);
    }
  }
}

/** `fails` for whatever a registry's failure becomes; never that there is no such tag. */
function kindOf(got: Got): Expected {
  if (typeof got === "object") return { digest: got.digest as Digest };
  if (got === "held") return "held";
  return got.startsWith("upstream-") ? "fails" : (got as Expected);
}

test(
  "for every sequence of events, a tag is the digest that the rules say",
  async () => {
    const clock = { now: Date.UTC(2026, 10, 1) };
    await using cache = await governedCache(clock);
    let runs = 0;
    const seed = process.env["ENTREPOT_SEED"];
    await assert(
      asyncProperty(array(steps, { minLength: 5, maxLength: 40 }), async (sequence) => {
        await cache.begin((runs += 1));
        if (isLong && runs % 250 === 0) console.error(`${runs} of ${RUNS} sequences`);
        const run = new Run(cache, clock);
        for (const step of [...START, ...sequence]) await run.take(step);
        await run.ask();
      }),
      {
        examples: KNOWN.map((sequence) => [[...sequence]]),
        numRuns: RUNS,
        // The shortest sequence that was found by then is told, with its seed.
        interruptAfterTimeLimit: LIMIT_MS - 10_000,
        markInterruptAsFailure: true,
        ...(seed === undefined ? {} : { seed: Number(seed) }),
      },
    );
  },
  LIMIT_MS,
);
