import type { Override } from "../../store/override-store.ts";
import type { Order, OrderId } from "../ledger/facts.ts";
import { agesOfOverride, overrideOfAges } from "../ledger/override-ages.ts";

/** An order about the images that a pattern matches, with its time in milliseconds of this machine's epoch. */
export interface TimedPatternOrder {
  readonly kind: "pin" | "unpin" | "purge";
  readonly id: OrderId;
  readonly pattern: string;
  readonly platforms: readonly string[];
  readonly at: number;
}

/** An order to keep an override, whose times are of this machine's epoch, too. */
export interface TimedOverrideOrder {
  readonly kind: "override";
  readonly id: OrderId;
  readonly override: Override;
  readonly at: number;
}

export type TimedOrder = TimedPatternOrder | TimedOverrideOrder;

/** What an operator says: an order that nobody was told yet. */
export type GivenOrder =
  | Pick<TimedPatternOrder, "kind" | "pattern" | "platforms">
  | Pick<TimedOverrideOrder, "kind" | "override">;

export function isOverrideOrder(order: TimedOrder): order is TimedOverrideOrder {
  return order.kind === "override";
}

/** An order as another replica has told it. */
export function timedOf(order: Order, now: number): TimedOrder {
  const { id, kind } = order;
  const at = now - Math.max(0, order.ageMs);
  if (kind === "override") return { kind, id, override: overrideOfAges(order.override, now), at };
  const platforms = kind === "pin" ? order.platforms : [];
  return { kind, id, pattern: order.pattern, platforms, at };
}

/** An order as it is told. */
export function orderOf(order: TimedOrder, now: number): Order {
  const { id, kind, at } = order;
  const ageMs = Math.max(0, now - at);
  switch (kind) {
    case "override":
      return { kind, id, override: agesOfOverride(order.override, now), ageMs };
    case "pin":
      return { kind, id, pattern: order.pattern, platforms: order.platforms, ageMs };
    case "unpin":
    case "purge":
      return { kind, id, pattern: order.pattern, ageMs };
  }
}

/** As people read it. */
export function wordsOfOrder(order: TimedOrder): string {
  if (!isOverrideOrder(order)) return `${order.kind} ${order.pattern}`;
  const { kind, pattern, ended } = order.override;
  return `${ended ? "the end of " : ""}${kind} ${pattern}`;
}
