/**
 * error: pulls fail, go astray or will after the next restart. warning: it works by luck or costs
 * time. note: worth knowing, nothing is wrong.
 */
export type Severity = "error" | "warning" | "note";

export interface Position {
  /** The path as the node has it, without the root that is looked at from outside. */
  readonly file: string;
  /** From 1. */
  readonly line?: number;
  readonly column?: number;
}

/** Something about a node's wiring that its operator should know. */
export interface Finding {
  /** Stable and for machines: `config-both-patterns`. */
  readonly code: string;
  readonly severity: Severity;
  readonly at?: Position;
  readonly what: string;
  /** What happens because of it. */
  readonly consequence: string;
  /** What to do about it. */
  readonly advice: string;
}

const ORDER: Readonly<Record<Severity, number>> = { error: 0, warning: 1, note: 2 };

/** The worst first; within a severity in the order of files and lines. */
export function sortFindings(findings: readonly Finding[]): Finding[] {
  return [...findings].sort(
    (a, b) =>
      ORDER[a.severity] - ORDER[b.severity] ||
      (a.at?.file ?? "").localeCompare(b.at?.file ?? "") ||
      (a.at?.line ?? 0) - (b.at?.line ?? 0),
  );
}

export function isWrong(finding: Finding): boolean {
  return finding.severity !== "note";
}

export function formatPosition(place: Position): string {
  const line = place.line === undefined ? "" : `:${place.line}`;
  return `${place.file}${line}${place.column === undefined ? "" : `:${place.column}`}`;
}
