import type { TellEvent } from "../../../events/event.ts";
import type { HostStatus } from "../../../upstream/hosts.ts";
import { stateOf } from "../status-report.ts";

export interface WatchedUpstream {
  readonly name: string;
  readonly addresses: readonly HostStatus[];
}

export interface UpstreamWatchOptions {
  readonly tell: TellEvent;
  readonly read: () => readonly WatchedUpstream[];
}

/** What lasts for less than this is not told, in milliseconds. */
const INTERVAL_MS = 5000;

/** Tells when an upstream limits this cache or is away, and when that is over. */
export class UpstreamWatch implements Disposable {
  readonly #options: UpstreamWatchOptions;
  readonly #timer: Timer;
  /** Those that are not well, with what was told of them. */
  readonly #told = new Map<string, "rate-limited" | "unavailable">();

  constructor(options: UpstreamWatchOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.look(), INTERVAL_MS).unref();
  }

  look(): void {
    const { tell, read } = this.#options;
    const upstreams = read();
    for (const { name: upstream, addresses } of upstreams) {
      const state = stateOf(addresses);
      const before = this.#told.get(upstream);
      if (state === (before ?? "ok")) continue;
      const about = { subject: upstream };
      if (state === "ok") {
        this.#told.delete(upstream);
        const message = `${upstream} answers again`;
        tell({ type: "upstream.recovered", ...about, data: { message, upstream } });
        continue;
      }
      this.#told.set(upstream, state);
      if (state === "rate-limited") {
        const message = `${upstream} is rate limiting this cache: tags are served as they were last known`;
        tell({ type: "upstream.limited", ...about, data: { message, upstream } });
        continue;
      }
      const reason = addresses.findLast(({ reason: known }) => known !== undefined)?.reason;
      const why = reason === undefined ? "" : ` (${reason})`;
      const message = `${upstream} is unavailable${why}: what is stored is served without it`;
      const data = { message, upstream, ...(reason === undefined ? {} : { reason }) };
      tell({ type: "upstream.unavailable", ...about, data });
    }
    const names = new Set(upstreams.map(({ name }) => name));
    for (const name of this.#told.keys()) if (!names.has(name)) this.#told.delete(name);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
