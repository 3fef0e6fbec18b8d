import { withTimeout } from "../../cache/with-timeout.ts";
import type { AppliedFact, OrderId } from "../ledger/facts.ts";

/** How long an operator waits for the other replicas to answer, in milliseconds. */
const ANSWER_MS = 3000;

/** Which replicas have carried out an order. */
export interface OrderReach {
  /** How many have, this one included. */
  readonly reached: number;
  readonly of: number;
  /** `up`: it has the order, so that the others will hear of it. `away`: this replica keeps the order until it has. */
  readonly ledger: "up" | "away";
  /** How many images it concerned at the others. */
  readonly images: number;
  /** How many of the others cannot carry it out as it is: their logs say why. */
  readonly refused: number;
}

export type Applied = Pick<AppliedFact, "outcome" | "images">;

interface Awaited {
  readonly by: Map<string, Applied>;
  readonly wanted: number;
  readonly complete: () => void;
}

/** What the other replicas answer to what this one tells or asks them. */
export class OrderAnswers {
  readonly #replicas: () => number;
  readonly #awaited = new Map<OrderId, Awaited>();

  /** @param replicas how many are known, this one and those that do not answer included */
  constructor(replicas: () => number) {
    this.#replicas = replicas;
  }

  /** @param tell returns whether the ledger has it */
  async to(id: OrderId, tell: () => Promise<boolean>): Promise<OrderReach> {
    const wanted = this.#replicas() - 1;
    const { promise, resolve } = Promise.withResolvers<void>();
    const awaited: Awaited = { by: new Map(), wanted, complete: resolve };
    this.#awaited.set(id, awaited);
    try {
      const isTold = await tell();
      if (isTold && wanted > 0) await withTimeout(ANSWER_MS, promise);
      const answers = [...awaited.by.values()];
      const images = answers.reduce((sum, answer) => sum + answer.images, 0);
      const refused = answers.filter(({ outcome }) => outcome === "refused").length;
      const reached = 1 + answers.length - refused;
      const ledger = isTold ? "up" : "away";
      return {
        reached,
        of: Math.max(1 + answers.length, this.#replicas()),
        ledger,
        images,
        refused,
      };
    } finally {
      this.#awaited.delete(id);
    }
  }

  /** Another replica has answered. */
  heard({ order, by, ...answer }: AppliedFact & { readonly by: string }): void {
    const awaited = this.#awaited.get(order);
    if (!awaited) return;
    awaited.by.set(by, answer);
    if (awaited.by.size >= awaited.wanted) awaited.complete();
  }
}
