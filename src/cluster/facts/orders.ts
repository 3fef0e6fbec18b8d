import type { StoreAdmin } from "../../cache/retention/store-admin.ts";
import type { Overrides } from "../../cache/tag-policy/overrides.ts";
import { type AppliedFact, newOrderId, type Order, type Preview } from "../ledger/facts.ts";
import { type Ledger, LedgerAwayError, ORDERS_KEPT_MS } from "../ledger/ledger.ts";
import { agesOfOverride, overAt } from "../ledger/override-ages.ts";
import { type Applied, OrderAnswers, type OrderReach } from "./order-answers.ts";
import type { OrderFile } from "./order-file.ts";
import { OrderWork } from "./order-work.ts";
import type { RecentPurges } from "./recent-purges.ts";
import { type GivenOrder, orderOf, timedOf, type TimedOrder, wordsOfOrder } from "./timed-order.ts";

/** When an order is tried again that could not be carried out, in milliseconds. */
const RETRY_MS = 30_000;
/** Orders that wait to be carried out; who tells more waits. */
const MAX_WAITING = 256;

export interface OrdersOptions {
  readonly ledger: Pick<Ledger, "order" | "preview" | "tell">;
  readonly admin: Pick<StoreAdmin, "pinning" | "purge">;
  readonly overrides: Pick<Overrides, "all" | "get" | "put">;
  readonly file: OrderFile;
  readonly purges: RecentPurges;
  /** How many replicas are known, this one and those that do not answer included. */
  readonly replicas: () => number;
  /** An order of another replica cannot be carried out as it is; it is not tried again. */
  readonly onRefused: (order: string, reason: string) => void;
  /** It is tried again. */
  readonly onFailed: (task: string, error: unknown) => void;
  /** The current time, in milliseconds of the epoch. */
  readonly now?: () => number;
}

/**
 * What an operator asks of one replica, and all have to do: pins, purges and overrides. It is carried out here first. What
 * the ledger does not take is kept in a file and told later, with its time: a purge is of what was stored
 * before it, of several pins and unpins of a pattern the latest counts, at whichever replica, and an override that was
 * ended stays so.
 */
export class Orders {
  readonly #options: OrdersOptions;
  readonly #now: () => number;
  readonly #answers: OrderAnswers;
  readonly #work: OrderWork;
  readonly #queue: TimedOrder[] = [];
  #working: Promise<void> | undefined;
  #telling: Promise<void> | undefined;
  #isPreviewing = false;
  #retry: ReturnType<typeof setTimeout> | undefined;
  readonly #closing = new AbortController();

  constructor(options: OrdersOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#answers = new OrderAnswers(options.replicas);
    const { admin, overrides, file, purges } = options;
    this.#work = new OrderWork({ admin, overrides, signal: this.#closing.signal });
    for (const { pattern, at } of file.purges) purges.add(pattern, at);
  }

  /** What was pinned before there were other replicas is to be told to them. */
  async adoptPins(): Promise<void> {
    const pins = await this.#options.admin.pinning.saved();
    const orders = pins.map(({ pattern, platforms, since }): TimedOrder => {
      return { kind: "pin", id: newOrderId(), pattern, platforms, at: since };
    });
    await this.#options.file.given(orders);
  }

  /** Tells the others what was done here at an operator's request, and waits until they have done it too. */
  async give(order: GivenOrder): Promise<OrderReach> {
    const { file, purges } = this.#options;
    const given: TimedOrder = { ...order, id: newOrderId(), at: this.#now() };
    if (given.kind === "purge") purges.add(given.pattern, given.at);
    // If it cannot be written, it is told while this process runs.
    const keeping = file.given([given]);
    await keeping.catch((error: unknown) => this.#options.onFailed("keeping an order", error));
    return this.#answers.to(given.id, () => this.#tell(given));
  }

  /** Asks the others what a purge would remove there, and waits until they have said it. */
  preview(pattern: string): Promise<OrderReach> {
    const id = newOrderId();
    return this.#answers.to(id, async () => {
      try {
        await this.#options.ledger.preview({ kind: "preview", id, pattern });
        return true;
      } catch (error) {
        if (!(error instanceof LedgerAwayError)) throw error;
        return false;
      }
    });
  }

  /** Another replica was given an order. Resolves once it is known here, not once it is carried out. */
  async heard(order: Order): Promise<void> {
    const timed = timedOf(order, this.#now());
    const { id } = timed;
    if (timed.kind === "purge") this.#options.purges.add(timed.pattern, timed.at);
    if (this.#queue.length >= MAX_WAITING) await this.#carryOutSoon();
    if (this.#isClosed || this.#queue.some((waiting) => waiting.id === id)) return;
    // None of them can be carried out. It is heard again after a start.
    if (this.#queue.length >= MAX_WAITING) throw new Error("too many orders wait");
    this.#queue.push(timed);
    void this.#carryOutSoon();
  }

  /** Another replica asks what a purge would remove here. It does not wait for long, so at most one is looked up. */
  async asked({ id, pattern }: Preview): Promise<void> {
    if (this.#isPreviewing || this.#isClosed) return;
    this.#isPreviewing = true;
    try {
      const { reason: _, ...answer } = await this.#work.preview(pattern);
      this.#options.ledger.tell({ kind: "applied", order: id, ...answer });
    } finally {
      this.#isPreviewing = false;
    }
  }

  /** Another replica has carried out an order. */
  applied(fact: AppliedFact & { readonly by: string }): void {
    this.#answers.heard(fact);
  }

  /** Tells what the ledger did not take before. */
  tellAll(): Promise<void> {
    this.#telling ??= this.#tellAll().finally(() => {
      this.#telling = undefined;
    });
    return this.#telling;
  }

  /** Resolves once everything that was heard is carried out, or has to be tried again. */
  async settled(): Promise<void> {
    await this.#telling;
    await this.#working;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    clearTimeout(this.#retry);
    await this.settled();
  }

  get #isClosed(): boolean {
    return this.#closing.signal.aborted;
  }

  async #tellAll(): Promise<void> {
    for (const order of this.#options.file.untold) {
      if (!(await this.#tell(order))) return;
    }
    await this.#tellOverridesAgain();
  }

  /**
   * What was decided before there were other replicas is told to them, and what a ledger does not know that was
   * restored or made anew: a replica that begins has to hear of it.
   */
  async #tellOverridesAgain(): Promise<void> {
    const { ledger, overrides, onFailed } = this.#options;
    const now = this.#now();
    for (const override of overrides.all) {
      const over = overAt(override) ?? Infinity;
      if (over < now - ORDERS_KEPT_MS) continue;
      const ages = agesOfOverride(override, now);
      const ageMs = Math.max(0, ages.ended?.ageMs ?? ages.sinceAgeMs);
      const order = { kind: "override", id: newOrderId(), override: ages, ageMs } as const;
      try {
        await ledger.order({ ...order, isAgain: true });
      } catch (error) {
        if (error instanceof LedgerAwayError) return;
        onFailed("telling an override again", error);
      }
    }
  }

  /** Returns whether the ledger has it now. */
  async #tell(order: TimedOrder): Promise<boolean> {
    const { ledger, file, onFailed } = this.#options;
    try {
      await ledger.order(orderOf(order, this.#now()));
    } catch (error) {
      if (!(error instanceof LedgerAwayError)) onFailed("telling an order", error);
      return false;
    }
    await file
      .told(order)
      .catch((error: unknown) => onFailed("noting that an order is told", error));
    return true;
  }

  #carryOutSoon(): Promise<void> {
    clearTimeout(this.#retry);
    this.#working ??= this.#carryOutAll().finally(() => {
      this.#working = undefined;
    });
    return this.#working;
  }

  async #carryOutAll(): Promise<void> {
    const { file, ledger, onFailed } = this.#options;
    for (let order = this.#queue[0]; order && !this.#isClosed; order = this.#queue[0]) {
      try {
        let applied: Applied = { outcome: "done", images: 0 };
        if (!file.isKnown(order)) {
          applied = await this.#carryOut(order);
          const noting = "noting that an order is carried out";
          await file.done(order).catch((error: unknown) => onFailed(noting, error));
        }
        // Also of one that a later one has replaced.
        ledger.tell({ kind: "applied", order: order.id, ...applied });
        this.#queue.shift();
      } catch (error) {
        // It is heard again after the next start.
        if (this.#isClosed) return;
        onFailed(`an order of another replica (${wordsOfOrder(order)})`, error);
        this.#retry = setTimeout(() => void this.#carryOutSoon(), RETRY_MS);
        this.#retry.unref();
        return;
      }
    }
  }

  async #carryOut(order: TimedOrder): Promise<Applied> {
    const { reason, ...applied } = await this.#work.carryOut(order);
    if (reason !== undefined) this.#options.onRefused(wordsOfOrder(order), reason);
    return applied;
  }
}
