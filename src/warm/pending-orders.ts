import { z } from "zod";
import { type WarmOrderRequest, warmOrderSchema } from "../api/warm.ts";
import type { StateFile } from "./state-file.ts";

const pendingSchema = z.array(warmOrderSchema);
/** How many are taken over from a process before. */
const MAX_PENDING = 16;

/** Orders that are not done, so that a cache that is stopped or killed goes on with them. */
export class PendingOrders {
  readonly #file: StateFile;
  readonly #orders: Set<WarmOrderRequest>;
  /** Of the process before, until they are taken over: they stay in the file beside what is begun meanwhile. */
  #before: readonly WarmOrderRequest[];

  constructor(file: StateFile) {
    this.#file = file;
    const { data = [] } = pendingSchema.safeParse(file.read());
    this.#before = data.slice(0, MAX_PENDING);
    this.#orders = new Set(this.#before);
  }

  /** Those of the process before, once. They stay pending until they have `ended`. */
  takeOver(): readonly WarmOrderRequest[] {
    const before = this.#before;
    this.#before = [];
    return before;
  }

  /** A store that cannot be written to keeps no order: it is told elsewhere. */
  begun(order: WarmOrderRequest): void {
    this.#orders.add(order);
    this.#save();
  }

  ended(order: WarmOrderRequest): void {
    if (this.#orders.delete(order)) this.#save();
  }

  #save(): void {
    this.#file.write(() => [...this.#orders]).catch(() => {});
  }
}
