import type { DownloadOptions, DownloadRates } from "./download-rates.ts";
import type { Turns } from "./turns.ts";

/** How long a transfer waits for its first turn, in milliseconds; then a client gets its headers anyway. */
const FIRST_TURN_MS = 2000;

/** What is known of a transfer that proceeds in turns. */
export interface InTurn {
  /** Milliseconds for which it has waited for its turns. */
  readonly heldBack: () => number;
}

/**
 * Opens a transfer when it is its turn: what a server sends with its headers can be much, for a low rate and
 * many transfers.
 *
 * @throws what `open` throws; the signal's reason if it is aborted
 */
export async function openInTurn<Transfer extends { readonly ended: Promise<unknown> }>(
  rates: DownloadRates,
  {
    signal = new AbortController().signal,
    ...download
  }: DownloadOptions & {
    readonly signal?: AbortSignal | undefined;
  },
  open: (turns: Turns) => Promise<Transfer>,
): Promise<Transfer & InTurn> {
  const turns = rates.open(download);
  try {
    await turns.next(signal, FIRST_TURN_MS);
    const before = turns.waited;
    const transfer = await open(turns);
    void transfer.ended.then(() => turns.close());
    return { ...transfer, heldBack: () => turns.waited - before };
  } catch (error) {
    turns.close();
    throw error;
  }
}
