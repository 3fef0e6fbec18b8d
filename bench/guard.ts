import { z } from "zod";
import type { Judged } from "./results.ts";

/** How much worse than at the baseline a ratio may be; machines and days differ by less. */
const TOLERANCE = 0.25;

const baselineSchema = z.array(z.object({ key: z.string(), value: z.number() }));
export type Baseline = z.infer<typeof baselineSchema>;

export function readBaseline(text: string): Baseline {
  return baselineSchema.parse(JSON.parse(text));
}

/** Ratios alone: a figure without a peer is the machine's as much as it is ours. */
export function baselineOf(judged: readonly Judged[]): Baseline {
  return judged.flatMap((one) =>
    one.against === undefined && !one.figure.includes(" over ")
      ? []
      : [{ key: keyOf(one), value: Number(one.value.toPrecision(4)) }],
  );
}

/** What has become worse than it was, in words. */
export function regressions(judged: readonly Judged[], baseline: Baseline): string[] {
  return judged.flatMap((one) => {
    const before = baseline.find(({ key }) => key === keyOf(one))?.value;
    if (before === undefined) return [];
    const isMoreBetter = one.atLeast !== undefined;
    const isWorse = isMoreBetter
      ? one.value < before * (1 - TOLERANCE)
      : one.value > before * (1 + TOLERANCE);
    if (!isWorse) return [];
    return `${keyOf(one)} is ${one.value.toPrecision(3)}, and was ${before}`;
  });
}

function keyOf({ workload, figure, against }: Judged): string {
  return `${workload}: ${figure}${against === undefined ? "" : `, over ${against}`}`;
}
