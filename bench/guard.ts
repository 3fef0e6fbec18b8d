import { z } from "zod";
import type { GoalResult } from "./results.ts";

/**
 * How much worse than its baseline a ratio may be; the noise between machines and runs is smaller.
 */
const TOLERANCE = 0.25;

const baselineSchema = z.array(z.object({ key: z.string(), value: z.number() }));
export type Baseline = z.infer<typeof baselineSchema>;

export function readBaseline(text: string): Baseline {
  return baselineSchema.parse(JSON.parse(text));
}

/** The values of all ratios. Absolute figures are left out: they depend on the machine. */
export function baselineOf(results: readonly GoalResult[]): Baseline {
  return results.flatMap((result) =>
    result.against === undefined && !result.figure.includes(" over ")
      ? []
      : [{ key: keyOf(result), value: Number(result.value.toPrecision(4)) }],
  );
}

/** A message for each ratio that is worse than its baseline by more than the tolerance. */
export function regressions(results: readonly GoalResult[], baseline: Baseline): string[] {
  return results.flatMap((result) => {
    const before = baseline.find(({ key }) => key === keyOf(result))?.value;
    if (before === undefined) return [];
    const isHigherBetter = result.atLeast !== undefined;
    const isWorse = isHigherBetter
      ? result.value < before * (1 - TOLERANCE)
      : result.value > before * (1 + TOLERANCE);
    if (!isWorse) return [];
    return `${keyOf(result)} is ${result.value.toPrecision(3)}, the baseline is ${before}`;
  });
}

function keyOf({ workload, figure, against }: GoalResult): string {
  return `${workload}: ${figure}${against === undefined ? "" : `, over ${against}`}`;
}
