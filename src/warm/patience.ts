import { setTimeout } from "node:timers/promises";
import type { Upstream } from "../cache/upstream.ts";
import { Fault } from "../oci/fault.ts";
import { secondsText } from "../oci/seconds-text.ts";
import type { Rest } from "../upstream/health/rest.ts";

/** How long it waits at most before it looks again, in milliseconds: a limit may end sooner than it was said to. */
const LOOK_MS = 5000;
/** How often what failed for the moment is tried, and how long it waits before the second try, in milliseconds. */
const MAX_TRIES = 5;
const FIRST_PAUSE_MS = 1000;

/** What a request is for: a registry counts manifests, and no blobs. */
export type Asked = "manifest" | "blob" | "list";

export interface PatienceOptions {
  /** Called with what is waited for, and without anything once that is over. */
  readonly tell: (waitsFor?: string) => void;
  readonly signal: AbortSignal;
  /** Whether anything is waited for; by default, it is. */
  readonly isPatient?: boolean;
  /** By default, timers. */
  readonly sleep?: (milliseconds: number, signal: AbortSignal) => Promise<void>;
}

/**
 * Waits where a registry limits requests, keeps the last ones of its budget for pulls, or fails: nobody is
 * waiting for what is asked here.
 */
export class Patience {
  readonly #options: PatienceOptions;
  readonly #sleep: NonNullable<PatienceOptions["sleep"]>;

  constructor(options: PatienceOptions) {
    this.#options = options;
    this.#sleep = options.sleep ?? ((time, signal) => setTimeout(time, undefined, { signal }));
  }

  /**
   * Asks once the registry is at ease, and again after a failure that passes.
   *
   * @throws Fault if it still fails; the signal's reason if that is aborted
   */
  async ask<Value>(
    upstream: Upstream,
    asked: Asked,
    question: () => Promise<Value>,
  ): Promise<Value> {
    const { signal, tell, isPatient = true } = this.#options;
    if (!isPatient) return question();
    for (let tries = 1; ; tries += 1) {
      await this.rest(upstream, asked);
      try {
        return await question();
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof Fault) || !isPassing(error)) throw error;
        // A limit says itself how long it holds: see `rest`.
        if (error.detail.kind === "upstream-rate-limited") tries -= 1;
        else if (tries >= MAX_TRIES) throw error;
        tell(error.message);
        await this.#sleep(FIRST_PAUSE_MS * 2 ** Math.max(0, tries - 1), signal);
        tell();
      }
    }
  }

  /** Waits for a moment. */
  async pause(milliseconds: number): Promise<void> {
    if (this.#options.isPatient !== false) await this.#sleep(milliseconds, this.#options.signal);
  }

  /** Resolves once nothing keeps a registry from being asked, as far as is known. */
  async rest({ registry }: Upstream, asked: Asked): Promise<void> {
    const { signal, tell } = this.#options;
    let hasTold = false;
    for (let { rest } = registry; rest && concerns(rest, asked); { rest } = registry) {
      signal.throwIfAborted();
      tell(describe(registry.name, rest));
      hasTold = true;
      await this.#sleep(Math.min(rest.left, LOOK_MS), signal);
    }
    if (hasTold) tell();
  }
}

function concerns(rest: Rest, asked: Asked): boolean {
  return rest.reason !== "budget" || asked === "manifest";
}

function describe(name: string, rest: Rest): string {
  const until = new Date(Date.now() + rest.left);
  switch (rest.reason) {
    case "limited":
      return `${name} limits requests: it is asked again at ${clock(until)}`;
    case "budget": {
      const { remaining, limit } = rest.budget;
      const left = limit === undefined ? `${remaining}` : `${remaining} of ${limit}`;
      return `${name} allows only ${left} more requests, which are kept for pulls: it is asked again at ${clock(until)}, or when it allows more`;
    }
    case "failing":
      return `${rest.fault?.message ?? `${name} fails`}: it is tried again in ${secondsText(Math.ceil(rest.left / 1000))}`;
  }
}

/** `14:05`, or with its day if that is another one. */
function clock(moment: Date): string {
  const [hours, minutes] = [moment.getHours(), moment.getMinutes()];
  const time = `${String(hours).padStart(2, "0")}:${String(minutes).padStart(2, "0")}`;
  const isToday = moment.toDateString() === new Date().toDateString();
  return isToday ? time : `${time} on ${moment.toDateString().slice(4, 10)}`;
}

/** Whether a fault is one of the moment, and not about what is asked for. */
function isPassing({ detail }: Fault): boolean {
  switch (detail.kind) {
    case "upstream-rate-limited":
    case "upstream-unreachable":
    case "upstream-timeout":
    case "overloaded":
    case "local-limit":
    case "slow-disk":
      return true;
    case "upstream-failed":
      return detail.status >= 500;
    default:
      return false;
  }
}
