/** The value of one figure in one round. */
export interface Measurement {
  readonly workload: string;
  /** What was measured: `GB/s`, `requests/s`, `p99 ms`. */
  readonly figure: string;
  readonly system: string;
  readonly value: number;
}

/** One figure over all rounds. */
export interface Row {
  readonly workload: string;
  readonly figure: string;
  readonly system: string;
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly rounds: number;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const [low, high] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]];
  return ((low ?? NaN) + (high ?? NaN)) / 2;
}

/** Summarises all rounds of each figure, in the order of the first measurements. */
export function summarise(measurements: readonly Measurement[]): Row[] {
  const groups = Map.groupBy(measurements, (one) =>
    [one.workload, one.figure, one.system].join("\0"),
  );
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (!first) return [];
    const values = group.map(({ value }) => value);
    return {
      workload: first.workload,
      figure: first.figure,
      system: first.system,
      median: median(values),
      min: Math.min(...values),
      max: Math.max(...values),
      rounds: values.length,
    };
  });
}

/** A limit for a median, or for the ratio of two medians. */
export interface Goal {
  readonly workload: string;
  readonly figure: string;
  /** The system that must meet the goal; `entrepot` if absent. */
  readonly system?: string;
  /** The figure is divided by this system's; absent for an absolute figure. */
  readonly against?: string;
  readonly atLeast?: number;
  readonly atMost?: number;
}

export interface GoalResult extends Goal {
  readonly value: number;
  readonly isMet: boolean;
}

/** Compares the measurements with the goals. Goals without measurements are omitted. */
export function judge(goals: readonly Goal[], rows: readonly Row[]): GoalResult[] {
  return goals.flatMap((goal) => {
    const find = (system: string): number | undefined =>
      rows.find(
        (row) =>
          row.workload === goal.workload && row.figure === goal.figure && row.system === system,
      )?.median;
    const own = find(goal.system ?? "entrepot");
    const other = goal.against === undefined ? 1 : find(goal.against);
    if (own === undefined || other === undefined) return [];
    const value = own / other;
    const isMet = value >= (goal.atLeast ?? -Infinity) && value <= (goal.atMost ?? Infinity);
    return [{ ...goal, value, isMet }];
  });
}
