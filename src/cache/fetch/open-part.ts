import { Fault, type FaultKind } from "../../oci/fault.ts";
import type { Source, Transfer } from "./source.ts";

/** How a source answers that does not send a part of what it would send as a whole. */
const REFUSALS: ReadonlySet<FaultKind> = new Set(["invalid-range", "upstream-invalid-response"]);

/**
 * Opens a part of a blob; all of it if the source refuses to send a part from the first byte on.
 *
 * @throws Fault
 */
export async function openPart(
  source: Source,
  first: number,
  end: number | undefined,
  signal: AbortSignal,
): Promise<Transfer> {
  try {
    return await source.open(first, signal, end);
  } catch (error) {
    const isRefusal = error instanceof Fault && REFUSALS.has(error.detail.kind);
    if (first > 0 || end === undefined || !isRefusal || signal.aborted) throw error;
    return source.open(first, signal);
  }
}
