import { RefusedError } from "../../cache/retention/refused-error.ts";
import { requestedPattern } from "../../cache/retention/requested-pattern.ts";
import type { StoreAdmin } from "../../cache/retention/store-admin.ts";
import type { Overrides } from "../../cache/tag-policy/overrides.ts";
import type { Applied } from "./order-answers.ts";
import { isOverrideOrder, type TimedOrder, type TimedPatternOrder } from "./timed-order.ts";

export interface OrderWorkOptions {
  readonly admin: Pick<StoreAdmin, "pinning" | "purge">;
  readonly overrides: Pick<Overrides, "get" | "put">;
  readonly signal: AbortSignal;
}

type Outcome = Applied & {
  /** Why it was refused. */
  readonly reason?: string | undefined;
};

/** Does what operators order. Rejects if that has to be tried again. */
export class OrderWork {
  readonly #options: OrderWorkOptions;

  constructor(options: OrderWorkOptions) {
    this.#options = options;
  }

  carryOut(order: TimedOrder): Promise<Outcome> {
    return outcomeOf(() => this.#imagesOf(order));
  }

  /** Finds what a purge would remove, and removes nothing. */
  preview(pattern: string): Promise<Outcome> {
    const { admin, signal } = this.#options;
    return outcomeOf(async () => {
      const parsed = requestedPattern(pattern).text;
      return countOf((await admin.purge(parsed, { dryRun: true, signal })).names());
    });
  }

  /**
   * Returns how many images it concerned.
   *
   * @throws RefusedError
   */
  async #imagesOf(order: TimedOrder): Promise<number> {
    const { admin, overrides } = this.#options;
    if (isOverrideOrder(order)) {
      const { override } = order;
      requestedPattern(override.pattern);
      const known = overrides.get(override.id);
      if (!override.ended && known?.ended) return 0;
      // A replica of an earlier version passes an override on without its stamp.
      const stamp = override.stamp ?? known?.stamp;
      await overrides.put({ ...override, ...(stamp === undefined ? {} : { stamp }) });
      return 0;
    }
    const { pinning } = admin;
    switch (order.kind) {
      case "purge":
        return this.#purge(order);
      case "pin":
        return (await pinning.pin(order.pattern, order.platforms, order.at)).images;
      case "unpin": {
        const pins = await pinning.saved();
        const pin = pins.find(({ pattern }) => pattern === order.pattern);
        if (pin && pin.since <= order.at) await pinning.unpin(order.pattern);
        return 0;
      }
    }
  }

  async #purge({ pattern, at }: TimedPatternOrder): Promise<number> {
    const { admin, signal } = this.#options;
    const purge = await admin.purge(pattern, { storedUntil: at, signal });
    const images = await countOf(purge.names());
    await purge.run(false);
    return images;
  }
}

/** @param work returns how many images it concerns */
async function outcomeOf(work: () => Promise<number>): Promise<Outcome> {
  try {
    return { outcome: "done", images: await work() };
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    // What is not here needs no purge.
    if (error.kind === "no-match") return { outcome: "done", images: 0 };
    return { outcome: "refused", images: 0, reason: error.message };
  }
}

async function countOf(names: AsyncIterable<string>): Promise<number> {
  let count = 0;
  for await (const _ of names) count += 1;
  return count;
}
