/**
 * error: pulls fail or go to the wrong registry, now or after the next restart. warning: pulls work,
 * but only by chance or slowly. note: for information, nothing is wrong.
 */
export type Severity = "error" | "warning" | "note";

export interface Position {
  /** The path on the node, without the prefix of `--root`. */
  readonly file: string;
  /** From 1. */
  readonly line?: number;
  readonly column?: number;
}

/** A problem or a note about a node's wiring, for its operator. */
export interface Finding {
  /** A stable identifier for programs, such as `config-path-conflict`. */
  readonly code: string;
  readonly severity: Severity;
  readonly at?: Position;
  readonly what: string;
  /** The effect on the node. */
  readonly consequence: string;
  /** What the operator can do about it. */
  readonly advice: string;
}

const ORDER: Readonly<Record<Severity, number>> = { error: 0, warning: 1, note: 2 };

/** Sorts by severity, errors first, and then by file and line. */
export function sortFindings(findings: readonly Finding[]): Finding[] {
  return [...findings].sort(
    (a, b) =>
      ORDER[a.severity] - ORDER[b.severity] ||
      (a.at?.file ?? "").localeCompare(b.at?.file ?? "") ||
      (a.at?.line ?? 0) - (b.at?.line ?? 0),
  );
}

export function isProblem(finding: Finding): boolean {
  return finding.severity !== "note";
}

/** `file:line:column`, without the parts that are absent. */
export function formatPosition({ file, line, column }: Position): string {
  return [file, line, column].filter((part) => part !== undefined).join(":");
}
