import type { Status } from "../../../api/status.ts";

type FillStatus = Status["fills"][number];

/** Over less time, a speed says little, in milliseconds. */
const MIN_SPAN_MS = 1000;

interface Seen {
  readonly at: number;
  readonly received: number;
  readonly bytesPerSecond: number;
}

/** How fast downloads are, from one look to the next. */
export class DownloadSpeeds {
  readonly #now: () => number;
  #seen = new Map<string, Seen>();

  /** @param now the current time, in milliseconds of the epoch */
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  of(
    fills: readonly FillStatus[],
  ): { readonly fill: FillStatus; readonly bytesPerSecond: number }[] {
    const seen = new Map<string, Seen>();
    const all = fills.map((fill) => {
      const key = `${fill.source}@${fill.digest}`;
      const looked = this.#look(fill, this.#seen.get(key));
      seen.set(key, looked);
      return { fill, bytesPerSecond: looked.bytesPerSecond };
    });
    this.#seen = seen;
    return all;
  }

  #look({ received, resumedBytes, since }: FillStatus, before: Seen | undefined): Seen {
    const at = this.#now();
    if (before && at - before.at < MIN_SPAN_MS) return before;
    const from = before ?? { at: since, received: resumedBytes };
    const seconds = Math.max(0.001, (at - from.at) / 1000);
    const bytesPerSecond = Math.max(0, Math.round((received - from.received) / seconds));
    return { at, received, bytesPerSecond };
  }
}
