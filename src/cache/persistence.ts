import { toFault } from "./transient.ts";

/** Transfers in a row that brought nothing, after which one that had begun is given up. */
export const FRUITLESS_TRANSFERS = 6;
const LONGEST_PAUSE_MS = 8000;

/** Full jitter, so that many transfers that broke at once do not come back at once. */
export function pause(fruitless: number, signal: AbortSignal): Promise<void> {
  const longest = Math.min(LONGEST_PAUSE_MS, 250 * 2 ** fruitless);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, Math.random() * longest);
  const stopped = (): void => reject(toFault(signal.reason));
  signal.addEventListener("abort", stopped, { once: true });
  return promise.finally(() => {
    clearTimeout(timer);
    signal.removeEventListener("abort", stopped);
  });
}
