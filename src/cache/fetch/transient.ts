import { Fault, type FaultKind } from "../../oci/fault.ts";
import { storageFault, systemCode } from "../../store/storage-fault.ts";

const TRANSIENT: ReadonlySet<FaultKind> = new Set([
  "upstream-unreachable",
  "upstream-timeout",
  "upstream-failed",
  "upstream-rate-limited",
  "overloaded",
  "local-limit",
]);

/** Whether a retry at the same source may succeed. */
export function isTransient(fault: Fault): boolean {
  return TRANSIENT.has(fault.detail.kind);
}

/** Whether a sender was given up because it sent too little: it is not asked again. */
export function isTooSlow({ detail }: Fault): boolean {
  return detail.kind === "upstream-timeout" && detail.isTooSlow === true;
}

/**
 * Turns any thrown value into a fault. An error with a system error code comes from the disk; any
 * other one is a defect of the cache.
 */
export function toFault(error: unknown): Fault {
  if (error instanceof Fault) return error;
  if (/^E[A-Z0-9]+$/.test(systemCode(error) ?? "")) return storageFault("reach the disk", error);
  const reason = error instanceof Error ? error.message : String(error);
  return new Fault({ kind: "internal", reason }, { cause: error });
}

/** The fault of a body that ended before its announced size. The caller adds which blob it was. */
export function endedEarly(upstream: string, length: number, size: number): Fault {
  const reason = `the transfer ended after ${length} of ${size} bytes`;
  return new Fault({ kind: "upstream-unreachable", upstream, reason });
}
