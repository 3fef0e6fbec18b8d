import { z } from "zod";
import { type WarmOrderRequest, warmOrderSchema } from "../api/warm.ts";
import type { StateFile } from "./state-file.ts";

const pendingSchema = z.array(warmOrderSchema);
/** How many are gone on with after a restart: as many run at once. */
const MAX_PENDING = 4;

/** Orders that are not done, so that a cache that is stopped or killed goes on with them. */
export class PendingOrders {
  readonly #file: StateFile;
  readonly #orders = new Set<WarmOrderRequest>();

  constructor(file: StateFile) {
    this.#file = file;
  }

  /** Those of the process before, which are not pending any more unless they are begun again. */
  takeOver(): readonly WarmOrderRequest[] {
    const { data = [] } = pendingSchema.safeParse(this.#file.read());
    return data.slice(0, MAX_PENDING);
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
