import type { NewOverride } from "../../api/overrides.ts";
import type { AdminClient } from "../api/admin-client.ts";
import { print, printJson } from "../store/store-connection.ts";
import type { Moment } from "./moment.ts";
import { claimOf, type OrderOptions } from "./order-options.ts";
import { orderedText } from "./order-text.ts";

/** What is particular to an order. */
type Particular<Order = NewOverride> = Order extends NewOverride
  ? Omit<Order, "reason" | "claim" | "until" | "dryRun">
  : never;

/** When it ends, and a moment that was written, with how it was understood. */
interface Moments {
  readonly until: Moment | undefined;
  readonly past?: { readonly text: string; readonly moment: Moment | undefined };
}

/** Gives an order to the running cache, and prints what it came to. */
export async function giveOrder(
  client: AdminClient,
  order: Particular,
  { reason, dryRun = false, json }: OrderOptions,
  { until, past }: Moments,
): Promise<number> {
  const claim = claimOf();
  const bound = until === undefined ? {} : { until: until.at };
  const body = { ...order, reason, claim, dryRun, ...bound };
  const ordered = await client.order(client.api.POST("/overrides", { body }));
  if (json) {
    printJson(ordered);
    return 0;
  }
  print(orderedText(ordered, Date.now()));
  const understood = past?.moment?.understood;
  if (past && understood !== undefined) print(`${past.text} was understood as ${understood}.`);
  return 0;
}
