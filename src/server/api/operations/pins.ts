import { z } from "zod";
import {
  newPinSchema,
  patternField,
  pinnedSchema,
  pinsSchema,
  unpinnedSchema,
} from "../../../api/pins.ts";
import type { StoreAdmin } from "../../../cache/retention/store-admin.ts";
import { operation, type Operation } from "../operation.ts";
import type { SurveyLimit } from "../survey-limit.ts";
import type { Orders } from "./orders.ts";

export interface PinParts {
  readonly admin: Pick<StoreAdmin, "pinning">;
  readonly orders: Pick<Orders, "pin" | "unpin">;
  readonly surveys: SurveyLimit;
  /** The configured lists for which a pin was made. */
  readonly listsOf?: (pin: { readonly pattern: string; readonly since: number }) => string[];
}

export function pinOperations({
  admin,
  orders,
  surveys,
  listsOf = () => [],
}: PinParts): Operation[] {
  return [
    operation({
      id: "listPins",
      method: "GET",
      path: "/pins",
      tag: "pins",
      summary: "The pins, which keep images from being evicted",
      right: "read",
      refusals: [503],
      answer: pinsSchema,
      handle: ({ signal }) =>
        surveys.run(async () => {
          const pins = await admin.pinning.list(signal);
          const items = pins.map((pin) => {
            const lists = listsOf(pin);
            return lists.length === 0 ? pin : Object.assign({ lists }, pin);
          });
          return { items };
        }),
    }),
    operation({
      id: "pin",
      method: "POST",
      path: "/pins",
      tag: "pins",
      summary: "Protects images from eviction, now and in future",
      description: "Replaces the pin of the same pattern.",
      right: "admin",
      body: newPinSchema,
      refusals: [409, 503],
      answer: pinnedSchema,
      handle: ({ body: { pattern, platforms } }) =>
        surveys.run(() => orders.pin(pattern, platforms)),
    }),
    operation({
      id: "unpin",
      method: "DELETE",
      path: "/pins/{pattern}",
      tag: "pins",
      summary: "Removes a pin, so that its images can be evicted again",
      right: "admin",
      params: z.strictObject({ pattern: patternField }),
      refusals: [404],
      answer: unpinnedSchema,
      handle: ({ params: { pattern } }) => orders.unpin(pattern),
    }),
  ];
}
