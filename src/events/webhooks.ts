import { mkdir, readdir, unlink } from "node:fs/promises";
import { join } from "node:path";
import type { EventSettings, WebhookSettings } from "../config/operator/event-settings.ts";
import type { Log } from "../telemetry/log.ts";
import type { Event, NewEvent, TellEvent } from "./event.ts";
import { EventQueue } from "./event-queue.ts";
import type { Outcome } from "./send-event.ts";
import { Webhook } from "./webhook.ts";

export interface WebhooksOptions {
  /** The folder of the queues; it is made when there is a receiver. */
  readonly folder: string;
  readonly log: Log;
}

const SUFFIX = ".jsonl";

/** Tells receivers what happens. None of them can hold up the others, or whoever tells it. */
export class Webhooks implements AsyncDisposable {
  readonly #options: WebhooksOptions;
  readonly #all = new Map<string, Webhook>();
  /** Changes of the settings follow each other. */
  #changing: Promise<void> = Promise.resolve();
  #told = new Map<string, number>();
  #hasQueueProblem = false;

  constructor(options: WebhooksOptions) {
    this.#options = options;
  }

  get all(): readonly Webhook[] {
    return [...this.#all.values()];
  }

  /** How many events of each type were told since the start. */
  get told(): ReadonlyMap<string, number> {
    return this.#told;
  }

  /** Opens the queues of new receivers, and forgets those that are gone. Never rejects. */
  configure(settings: EventSettings | undefined): Promise<void> {
    this.#changing = this.#changing
      .then(() => this.#configure(settings))
      .catch((error: unknown) => this.#options.log.error({ err: error }, "events are not sent"));
    return this.#changing;
  }

  readonly tell: TellEvent = (event) => {
    this.#told.set(event.type, (this.#told.get(event.type) ?? 0) + 1);
    if (this.#all.size === 0) return;
    const made = eventOf(event);
    for (const webhook of this.#all.values()) {
      const { types } = webhook.settings;
      if (!types || types.some((type) => type === event.type)) webhook.add(made);
    }
  };

  /** Sends a receiver an event that says nothing. */
  test(webhook: Webhook): Promise<Outcome> {
    const message = "this is a test: nothing has happened";
    return webhook.try(eventOf({ type: "test", data: { message } }));
  }

  /** What is not sent stays on the disk. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#changing;
    await Promise.all(this.all.map((webhook) => webhook[Symbol.asyncDispose]()));
  }

  async #configure(settings: EventSettings | undefined): Promise<void> {
    const { folder } = this.#options;
    const { webhooks = [], source = "" } = settings ?? {};
    const names = new Set(webhooks.map(({ name }) => name));
    for (const [name, webhook] of this.#all) {
      if (names.has(name)) continue;
      this.#all.delete(name);
      await webhook[Symbol.asyncDispose]();
    }
    if (webhooks.length > 0) await mkdir(folder, { recursive: true, mode: 0o700 });
    await removeOthers(folder, names);
    for (const webhook of webhooks) {
      const existing = this.#all.get(webhook.name);
      if (existing) existing.configure(webhook, source);
      else this.#all.set(webhook.name, await this.#open(webhook, source));
    }
  }

  async #open(settings: WebhookSettings, source: string): Promise<Webhook> {
    const { folder, log } = this.#options;
    const queue = await EventQueue.open({
      path: join(folder, settings.name + SUFFIX),
      onError: (error) => {
        if (!this.#hasQueueProblem) log.warn({ err: error }, "queued events are in memory alone");
        this.#hasQueueProblem = true;
      },
    });
    return new Webhook(settings, { queue, log, source });
  }
}

function eventOf({ type, subject, data }: NewEvent): Event {
  const id = `evt_${Bun.randomUUIDv7()}`;
  return {
    id,
    type,
    ...(subject === undefined ? {} : { subject }),
    at: Date.now(),
    data: { ...data },
  };
}

/** Queues of receivers that are not configured any more. */
async function removeOthers(folder: string, names: ReadonlySet<string>): Promise<void> {
  const files = await readdir(folder).catch(() => []);
  for (const file of files) {
    const isQueue = file.endsWith(SUFFIX) && !names.has(file.slice(0, -SUFFIX.length));
    if (isQueue) await unlink(join(folder, file)).catch(() => {});
  }
}
