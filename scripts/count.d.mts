export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

export function countTests(report: string | undefined, exitCode: number): Counts;
export function sumCounts(all: readonly Counts[]): Counts;
export function countLine(counts: Counts): string;
