import type { HistoryAnswer } from "../../api/history.ts";

/** What happened in one step of a period, at all registries together. */
export interface Step {
  /** When it began, in milliseconds of the epoch. */
  readonly at: number;
  readonly requests: number;
  readonly fromCache: number;
  readonly sentBytes: number;
  readonly fetchedBytes: number;
  /** Requests to registries that failed, or were refused by a limit. */
  readonly failed: number;
}

/** The oldest first. */
export function stepsOf({ from, step, upstreams }: HistoryAnswer): Step[] {
  const length = upstreams[0]?.requests.length ?? 0;
  return Array.from({ length }, (_, index) => {
    const sum = (name: "requests" | "fromCache" | "sentBytes" | "fetchedBytes" | "failed") =>
      upstreams.reduce((total, upstream) => total + (upstream[name][index] ?? 0), 0);
    const limited = upstreams.reduce((total, one) => total + (one.limited[index] ?? 0), 0);
    return {
      at: from + index * step,
      requests: sum("requests"),
      fromCache: sum("fromCache"),
      sentBytes: sum("sentBytes"),
      fetchedBytes: sum("fetchedBytes"),
      failed: sum("failed") + limited,
    };
  });
}
