import type { Cache } from "../../cache/cache.ts";
import { withTimeout } from "../../cache/with-timeout.ts";

/** How long downloads and responses may take to finish after the signal to stop, in milliseconds. */
const GRACE_MS = 15_000;
/** How long what clients did not wait for may take after that. */
const WRITE_GRACE_MS = 1000;

/**
 * Lets what is in progress end, for as long as a graceful shutdown may take.
 *
 * @param stopped resolves once no request is being answered any more
 */
export async function finish(
  cache: Pick<Cache, "fills" | "written">,
  stopped: Promise<unknown>,
): Promise<void> {
  await Promise.all([cache.fills.drain(GRACE_MS), withTimeout(GRACE_MS, stopped)]);
  await withTimeout(WRITE_GRACE_MS, cache.written());
}
