import { z } from "zod";
import { parseDigest } from "../../oci/digest.ts";
import { printable } from "../../printable.ts";
import type { Override } from "../../store/override-store.ts";

/** In characters. What operators write is shorter. */
const MAX_WORDS = 1000;

/** An override whose times are ages in milliseconds, since replicas do not share a clock. Those of the future are negative. Its stamp is told as it is. */
export interface OverrideAges extends Omit<Override, "since" | "until" | "asOf" | "ended"> {
  readonly sinceAgeMs: number;
  readonly untilAgeMs?: number;
  readonly asOfAgeMs?: number;
  readonly ended?: { readonly ageMs: number; readonly by: string; readonly reason: string };
}

const digest = z.string().transform((text, context) => {
  const parsed = parseDigest(text);
  if (parsed) return parsed;
  context.addIssue({ code: "custom", message: "not a digest" });
  return z.NEVER;
});

/** They are shown in terminals and headers, and anybody with access to the database may have written them. */
const words = z.string().transform((text) => printable(text.slice(0, MAX_WORDS)));

/** An override as JSON. Its times are of the clock of where it is kept. */
export const OVERRIDE: z.ZodType<Override> = z
  .object({
    id: z.uuid(),
    kind: z.enum(["release", "hold", "rollback", "freeze"]),
    pattern: z.string(),
    digest: digest.optional(),
    asOf: z.number().optional(),
    isUnverified: z.boolean().optional(),
    reason: words,
    by: words,
    since: z.number(),
    stamp: z.int().optional(),
    until: z.number().optional(),
    ended: z.object({ at: z.number(), by: words, reason: words }).optional(),
  })
  // Keys that are absent are so in an `Override`, too.
  .transform(({ digest: of, asOf, isUnverified, stamp, until, ended, ...override }) => ({
    ...override,
    ...(of !== undefined && { digest: of }),
    ...(asOf !== undefined && { asOf }),
    ...(isUnverified !== undefined && { isUnverified }),
    ...(stamp !== undefined && { stamp }),
    ...(until !== undefined && { until }),
    ...(ended && { ended }),
  }));

/** @param now on the clock of the override's times, in milliseconds of the epoch */
export function agesOfOverride(override: Override, now: number): OverrideAges {
  const { since, until, asOf, ended, ...rest } = override;
  return {
    ...rest,
    sinceAgeMs: now - since,
    ...(until !== undefined && { untilAgeMs: now - until }),
    ...(asOf !== undefined && { asOfAgeMs: now - asOf }),
    ...(ended && { ended: { ageMs: now - ended.at, by: ended.by, reason: ended.reason } }),
  };
}

/** @param now on the clock that its times are to be of, in milliseconds of the epoch */
export function overrideOfAges(ages: OverrideAges, now: number): Override {
  const { sinceAgeMs, untilAgeMs, asOfAgeMs, ended, ...rest } = ages;
  return {
    ...rest,
    since: Math.round(now - sinceAgeMs),
    ...(untilAgeMs !== undefined && { until: Math.round(now - untilAgeMs) }),
    ...(asOfAgeMs !== undefined && { asOf: Math.round(now - asOfAgeMs) }),
    ...(ended && {
      ended: { at: Math.round(now - ended.ageMs), by: ended.by, reason: ended.reason },
    }),
  };
}

/** From when on an override holds no more, in milliseconds of the epoch; `undefined` for one that is to be ended. */
export function overAt({ until, ended }: Override): number | undefined {
  return ended ? Math.min(ended.at, until ?? Infinity) : until;
}

/**
 * Whether an override replaces what is known of it: one that was ended stays so, and else the later order counts.
 * Times are when the orders were given.
 */
export function replacesOverride(
  next: { readonly override: Pick<Override, "ended">; readonly at: number },
  known: { readonly override: Pick<Override, "ended">; readonly at: number },
): boolean {
  const [isEnded, wasEnded] = [
    next.override.ended !== undefined,
    known.override.ended !== undefined,
  ];
  return isEnded === wasEnded ? next.at > known.at : isEnded;
}
