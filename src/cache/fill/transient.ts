import { Fault, type FaultKind } from "../../oci/fault.ts";

const TRANSIENT: ReadonlySet<FaultKind> = new Set([
  "upstream-unreachable",
  "upstream-timeout",
  "upstream-failed",
  "upstream-limited",
  "overloaded",
]);

/** Whether asking the same source again can be of use. */
export function isTransient(fault: Fault): boolean {
  return TRANSIENT.has(fault.detail.kind);
}

/** Whatever was thrown, as a fault: what is none comes from the medium or from a defect here. */
export function toFault(error: unknown): Fault {
  if (error instanceof Fault) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new Fault({ kind: "storage", reason }, { cause: error });
}

/** A body that broke off; of how many bytes is told, of which content is told by who reports it. */
export function endedEarly(upstream: string, length: number, size: number): Fault {
  const reason = `it ended after ${length} of ${size} bytes`;
  return new Fault({ kind: "upstream-unreachable", upstream, reason });
}
