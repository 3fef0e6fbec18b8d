/** One figure of one round. */
export interface Measurement {
  readonly workload: string;
  /** What was measured: `GB/s`, `requests/s`, `p99 ms`. */
  readonly figure: string;
  readonly system: string;
  readonly value: number;
}

export interface Row {
  readonly workload: string;
  readonly figure: string;
  readonly system: string;
  readonly median: number;
  /** The least and the most of all rounds. */
  readonly least: number;
  readonly most: number;
  readonly rounds: number;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const [low, high] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]];
  return ((low ?? NaN) + (high ?? NaN)) / 2;
}

/** All rounds of each figure together, in the order in which they were first measured. */
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
      least: Math.min(...values),
      most: Math.max(...values),
      rounds: values.length,
    };
  });
}

/** What has to hold between two medians, or of one where there is nothing to compare it with. */
export interface Goal {
  readonly workload: string;
  readonly figure: string;
  readonly system?: string;
  /** Entrepot's figure is divided by this system's; absent for the figure itself. */
  readonly against?: string;
  readonly atLeast?: number;
  readonly atMost?: number;
}

export interface Judged extends Goal {
  readonly value: number;
  readonly holds: boolean;
}

/** Goals of which nothing was measured are left out. */
export function judge(goals: readonly Goal[], rows: readonly Row[]): Judged[] {
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
    const holds = value >= (goal.atLeast ?? -Infinity) && value <= (goal.atMost ?? Infinity);
    return [{ ...goal, value, holds }];
  });
}
