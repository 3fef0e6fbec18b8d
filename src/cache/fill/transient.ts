import { Fault, type FaultKind } from "../../oci/fault.ts";
import { storageFault, systemCode } from "../../store/storage-fault.ts";

const TRANSIENT: ReadonlySet<FaultKind> = new Set([
  "upstream-unreachable",
  "upstream-timeout",
  "upstream-failed",
  "upstream-rate-limited",
  "overloaded",
]);

/** Whether asking the same source again can be of use. */
export function isTransient(fault: Fault): boolean {
  return TRANSIENT.has(fault.detail.kind);
}

/**
 * Turns anything that was thrown into a fault. An error with a code of the operating system comes
 * from the disk; any other one is a defect.
 */
export function toFault(error: unknown): Fault {
  if (error instanceof Fault) return error;
  if (/^E[A-Z0-9]+$/.test(systemCode(error) ?? "")) return storageFault("reach the disk", error);
  const reason = error instanceof Error ? error.message : String(error);
  return new Fault({ kind: "internal", reason }, { cause: error });
}

/** A body that broke off; of how many bytes is told, of which content is told by who reports it. */
export function endedEarly(upstream: string, length: number, size: number): Fault {
  const reason = `it ended after ${length} of ${size} bytes`;
  return new Fault({ kind: "upstream-unreachable", upstream, reason });
}
