import { constant, constantFrom, integer, oneof, option, record } from "fast-check";
import type { AgeRule } from "../../../src/config/policies/policy-settings.ts";
import { smallImage } from "../replicas/linked-replicas.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
export const IMAGES = ["one", "two", "three", "four"].map(smallImage);

/** Something that happens to a tag, its registry, or the cache. */
export type Step =
  | { readonly kind: "move" | "remove" | "evict"; readonly image: number }
  | { readonly kind: "wait"; readonly time: number }
  | { readonly kind: "purge" | "restart" | "ask" | "answers" }
  | { readonly kind: "fails"; readonly status: number }
  | { readonly kind: "rule"; readonly rule: AgeRule | undefined }
  | {
      readonly kind: "override";
      readonly of: "hold" | "rollback" | "freeze" | "release" | "hold of a digest";
      readonly image: number;
      readonly ago: number;
      readonly lasts: number | undefined;
    }
  | { readonly kind: "end"; readonly which: number };

const image = integer({ min: 0, max: IMAGES.length - 1 });

export const steps = oneof(
  { weight: 6, arbitrary: record({ kind: constant("move" as const), image }) },
  { weight: 12, arbitrary: record({ kind: constant("ask" as const) }) },
  {
    weight: 5,
    arbitrary: record({
      kind: constant("wait" as const),
      time: constantFrom(MINUTE, HOUR, 5 * HOUR, DAY, 3 * DAY, 10 * DAY),
    }),
  },
  {
    weight: 3,
    arbitrary: record({
      kind: constant("override" as const),
      of: constantFrom(
        "hold" as const,
        "rollback" as const,
        "freeze" as const,
        "release" as const,
        "hold of a digest" as const,
      ),
      image,
      ago: constantFrom(0, HOUR, DAY, 4 * DAY, 40 * DAY),
      lasts: option(constantFrom(HOUR, 2 * DAY), { nil: undefined }),
    }),
  },
  {
    weight: 2,
    arbitrary: record({ kind: constant("end" as const), which: integer({ min: 0, max: 5 }) }),
  },
  {
    weight: 2,
    arbitrary: record({
      kind: constant("rule" as const),
      rule: option(
        record({
          minAge: constantFrom(0, HOUR, 3 * DAY),
          first: constantFrom("allow" as const, "hold" as const),
          digests: constantFrom("pass" as const, "hold" as const),
          lists: constant("show" as const),
        }),
        { nil: undefined, freq: 8 },
      ),
    }),
  },
  {
    weight: 2,
    arbitrary: record({ kind: constantFrom("remove" as const, "evict" as const), image }),
  },
  { weight: 2, arbitrary: record({ kind: constantFrom("restart" as const, "purge" as const) }) },
  {
    weight: 1,
    arbitrary: record({ kind: constant("fails" as const), status: constantFrom(429, 500, 503) }),
  },
  { weight: 2, arbitrary: record({ kind: constant("answers" as const) }) },
);

/** Each sequence begins so. */
export const START: readonly Step[] = [
  { kind: "rule", rule: { minAge: 3 * DAY, first: "allow", digests: "hold", lists: "show" } },
  { kind: "move", image: 0 },
  { kind: "ask" },
];

const ask: Step = { kind: "ask" };
const wait = (time: number): Step => ({ kind: "wait", time });
const move = (index: number): Step => ({ kind: "move", image: index });
const evict = (index: number): Step => ({ kind: "evict", image: index });
const order = (of: (Step & { kind: "override" })["of"], index: number, lasts?: number): Step => ({
  kind: "override",
  of,
  image: index,
  ago: 0,
  lasts,
});
const strict: Step = {
  kind: "rule",
  rule: { minAge: 3 * DAY, first: "hold", digests: "hold", lists: "show" },
};

/** Sequences in which something was wrong, or nearly. */
export const KNOWN: readonly (readonly Step[])[] = [
  // What is old enough cannot be had now, and an older one is here.
  [
    wait(10 * DAY),
    move(1),
    ask,
    wait(10 * DAY),
    ask,
    evict(1),
    { kind: "fails", status: 503 },
    ask,
  ],
  // A digest is released, or given to the tag, for an hour.
  [wait(10 * DAY), move(1), ask, order("release", 1, HOUR), ask, wait(HOUR), ask],
  [strict, wait(10 * DAY), move(1), ask, order("rollback", 1, HOUR), ask, wait(HOUR), ask],
  // What is purged, and not recorded when its registry fails.
  [wait(10 * DAY), move(1), ask, { kind: "purge" }, { kind: "fails", status: 503 }, ask],
  // What is served before its time, since nothing older can be had.
  [move(1), { kind: "remove", image: 0 }, evict(0), ask, ask],
  // What was rolled back to is gone at its registry.
  [wait(10 * DAY), move(1), ask, order("rollback", 0), { kind: "remove", image: 0 }, evict(0), ask],
];
