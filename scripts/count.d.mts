export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

export function countTests(report: string | undefined, exitCode: number): Counts;
export interface FailedTest {
  name: string;
  file: string;
  message: string;
}

export function failedTests(report: string | undefined): FailedTest[];
export function sumCounts(all: readonly Counts[]): Counts;
export function countLine(counts: Counts): string;
