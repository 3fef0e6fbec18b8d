/** How far back the median latency looks, in milliseconds, and how many answers it looks at. */
const LATENCY_MS = 300_000;
const MAX_LATENCIES = 256;

/** Larger ones tell how fast an upstream sends, smaller ones rather how soon it answers. In bytes. */
const MIN_DOWNLOAD = 64 * 1024;

/** Names of upstreams are configured, but they may change while the cache runs. */
const MAX_UPSTREAMS = 1000;

/** What was asked of an upstream since the process started. */
export interface ActivityTotals {
  readonly answered: number;
  /** Not answered, or with a server's error. */
  readonly failed: number;
  /** Refused by 429. */
  readonly limited: number;
  /** Until the headers of all answers, in milliseconds. */
  readonly answeredMs: number;
  /** Of whole downloads of blobs. */
  readonly downloadedBytes: number;
  /** How long these took, without the wait for their headers, in milliseconds. */
  readonly downloadedMs: number;
}

interface Activity {
  readonly totals: { -readonly [Key in keyof ActivityTotals]: ActivityTotals[Key] };
  /** The latest answers; the oldest is overwritten. */
  readonly latencies: { readonly at: number; readonly milliseconds: number }[];
  next: number;
}

/** How upstreams answer, for their heartbeats and latencies. */
export class UpstreamActivity {
  readonly #byUpstream = new Map<string, Activity>();
  readonly #now: () => number;

  /** @param now the current time, in milliseconds */
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** @param milliseconds until the headers */
  responded(upstream: string, status: number, milliseconds: number): void {
    const activity = this.#of(upstream);
    const { totals, latencies, next } = activity;
    if (status === 429) {
      totals.limited += 1;
      return;
    }
    if (status >= 500) {
      totals.failed += 1;
      return;
    }
    totals.answered += 1;
    totals.answeredMs += milliseconds;
    latencies[next] = { at: this.#now(), milliseconds };
    activity.next = (next + 1) % MAX_LATENCIES;
  }

  failed(upstream: string): void {
    this.#of(upstream).totals.failed += 1;
  }

  downloaded(upstream: string, bytes: number, milliseconds: number): void {
    if (bytes < MIN_DOWNLOAD) return;
    const { totals } = this.#of(upstream);
    totals.downloadedBytes += bytes;
    totals.downloadedMs += Math.max(1, milliseconds - (this.latency(upstream) ?? 0));
  }

  get totals(): Iterable<readonly [upstream: string, totals: ActivityTotals]> {
    return [...this.#byUpstream].map(([upstream, { totals }]) => [upstream, totals] as const);
  }

  /** The median of the last five minutes, in milliseconds; undefined if nothing was answered. */
  latency(upstream: string): number | undefined {
    const since = this.#now() - LATENCY_MS;
    const recent = (this.#byUpstream.get(upstream)?.latencies ?? [])
      .filter(({ at }) => at > since)
      .map(({ milliseconds }) => milliseconds)
      .toSorted((one, other) => one - other);
    return recent[Math.floor(recent.length / 2)];
  }

  #of(upstream: string): Activity {
    const known = this.#byUpstream.get(upstream);
    if (known) return known;
    if (this.#byUpstream.size >= MAX_UPSTREAMS) this.#byUpstream.clear();
    const totals = {
      answered: 0,
      failed: 0,
      limited: 0,
      answeredMs: 0,
      downloadedBytes: 0,
      downloadedMs: 0,
    };
    const activity = { totals, latencies: [], next: 0 };
    this.#byUpstream.set(upstream, activity);
    return activity;
  }
}
