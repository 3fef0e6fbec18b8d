import { setTimeout as delay } from "node:timers/promises";
import type { WebhookSettings } from "../config/operator/event-settings.ts";
import type { Log } from "../telemetry/log.ts";
import type { Event } from "./event.ts";
import type { EventQueue } from "./event-queue.ts";
import { type Outcome, sendEvent, type SendOptions } from "./send-event.ts";

/** How long a receiver that fails is left alone: twice as long after each failure, in milliseconds. */
const FIRST_BACKOFF_MS = 1000;
const LONGEST_BACKOFF_MS = 60 * 60 * 1000;
/** What is older is of no use to anybody, in milliseconds. */
const MAX_AGE_MS = 3 * 24 * 60 * 60 * 1000;
/** How often an event is sent that the receiver refuses. */
const MAX_REFUSALS = 3;

export interface WebhookOptions {
  readonly queue: EventQueue;
  readonly log: Log;
  readonly source: string;
  /** Replaces sending, in tests. */
  readonly send?: typeof sendEvent;
  /** Replaces the clock, in tests. Resolves early when the signal aborts. */
  readonly wait?: (milliseconds: number, signal: AbortSignal) => Promise<void>;
  readonly now?: () => number;
}

/** How a receiver is doing. */
export interface WebhookState {
  readonly delivered: number;
  readonly failed: number;
  /** Events that were given up: too old, refused, or displaced by newer ones. */
  readonly dropped: number;
  readonly lastDeliveredAt?: number;
  /** Why the last attempt failed; absent once one has succeeded. */
  readonly problem?: string;
  /** It said that it wants no more events. */
  readonly isGone: boolean;
}

/** Sends a receiver its events, one after the other, for as long as it takes. */
export class Webhook implements AsyncDisposable {
  readonly #options: WebhookOptions;
  readonly #closing = new AbortController();
  readonly #running: Promise<void>;
  #settings: WebhookSettings;
  #source: string;
  /** Ends the present wait: for an event, or after a failure. */
  #wake = new AbortController();
  /** Since an event was taken last. */
  #failures = 0;
  #delivered = 0;
  #failed = 0;
  #dropped = 0;
  #lastDeliveredAt: number | undefined;
  #problem: string | undefined;
  #isGone = false;

  constructor(settings: WebhookSettings, options: WebhookOptions) {
    this.#options = options;
    this.#settings = settings;
    this.#source = options.source;
    this.#running = this.#run();
  }

  get settings(): WebhookSettings {
    return this.#settings;
  }

  get pending(): number {
    return this.#options.queue.size;
  }

  get state(): WebhookState {
    return {
      delivered: this.#delivered,
      failed: this.#failed,
      dropped: this.#dropped + this.#options.queue.dropped,
      ...(this.#lastDeliveredAt === undefined ? {} : { lastDeliveredAt: this.#lastDeliveredAt }),
      ...(this.#problem === undefined ? {} : { problem: this.#problem }),
      isGone: this.#isGone,
    };
  }

  add(event: Event): void {
    if (this.#isGone) return;
    this.#options.queue.add(event);
    // After a failure, the receiver is left alone as long as it was to be.
    if (this.#options.queue.size === 1) this.#wake.abort();
  }

  /** Sends an event now, beside the queue. If it is taken, what is queued is sent at once. */
  async try(event: Event): Promise<Outcome> {
    const outcome = await this.#send(event);
    if (outcome.kind !== "delivered") return outcome;
    this.#failures = 0;
    this.#isGone = false;
    this.#recovered();
    this.#wake.abort();
    return outcome;
  }

  /** Takes up changed settings, and tries again at once. */
  configure(settings: WebhookSettings, source: string): void {
    this.#settings = settings;
    this.#source = source;
    this.#isGone = false;
    this.#failures = 0;
    this.#wake.abort();
  }

  /** What is not sent stays in the queue. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    this.#wake.abort();
    await this.#running;
    await this.#options.queue[Symbol.asyncDispose]();
  }

  async #run(): Promise<void> {
    const { queue, now = Date.now } = this.#options;
    let refusals = 0;
    while (!this.#closing.signal.aborted) {
      const event = queue.first;
      if (!event || this.#isGone) {
        await this.#wait(undefined);
        continue;
      }
      if (event.at < now() - MAX_AGE_MS) {
        this.#drop(event, "it is older than three days");
        continue;
      }
      const outcome = await this.#send(event);
      if (this.#closing.signal.aborted) return;
      if (outcome.kind === "delivered") {
        queue.remove(event.id);
        this.#succeeded(now());
        this.#failures = 0;
        refusals = 0;
        continue;
      }
      this.#noteFailure(outcome.reason);
      if (outcome.kind === "gone") {
        this.#giveUp(outcome.reason);
        continue;
      }
      refusals = outcome.kind === "refused" ? refusals + 1 : 0;
      if (refusals >= MAX_REFUSALS) {
        this.#drop(event, outcome.reason);
        refusals = 0;
        continue;
      }
      const asked = outcome.kind === "failed" ? (outcome.retryAfterMs ?? 0) : 0;
      const backoff = FIRST_BACKOFF_MS * 2 ** this.#failures * (0.8 + 0.4 * Math.random());
      this.#failures += 1;
      await this.#wait(Math.min(Math.max(backoff, asked), LONGEST_BACKOFF_MS));
    }
  }

  #send(event: Event): Promise<Outcome> {
    const options: SendOptions = { source: this.#source, signal: this.#closing.signal };
    return (this.#options.send ?? sendEvent)(this.#settings, event, options);
  }

  /** @param milliseconds undefined: until there is something to do */
  async #wait(milliseconds: number | undefined): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#wake = new AbortController();
    const { signal } = this.#wake;
    if (milliseconds === undefined) {
      const { promise, resolve } = Promise.withResolvers<void>();
      signal.addEventListener("abort", () => resolve(), { once: true });
      return promise;
    }
    return (this.#options.wait ?? waitFor)(milliseconds, signal);
  }

  #succeeded(at: number): void {
    this.#delivered += 1;
    this.#lastDeliveredAt = at;
    this.#recovered();
  }

  #recovered(): void {
    if (this.#problem === undefined) return;
    this.#problem = undefined;
    this.#options.log.info({ webhook: this.#settings.name }, "events reach their receiver again");
  }

  /** Logged once, until an event is delivered. */
  #noteFailure(reason: string): void {
    this.#failed += 1;
    const isNew = this.#problem === undefined;
    this.#problem = reason;
    if (!isNew) return;
    const line = { webhook: this.#settings.name, error: reason };
    this.#options.log.warn(line, "events do not reach their receiver: they are sent again later");
  }

  #drop({ id, type }: Event, error: string): void {
    this.#dropped += 1;
    this.#options.queue.remove(id);
    const line = { webhook: this.#settings.name, id, type, error };
    this.#options.log.warn(line, "event not delivered");
  }

  #giveUp(error: string): void {
    const { queue, log } = this.#options;
    this.#isGone = true;
    for (let event = queue.first; event; event = queue.first) {
      this.#dropped += 1;
      queue.remove(event.id);
    }
    log.error({ webhook: this.#settings.name, error }, "the receiver wants no more events");
  }
}

async function waitFor(milliseconds: number, signal: AbortSignal): Promise<void> {
  await delay(milliseconds, undefined, { signal, ref: false }).catch(() => {});
}
