import type { Origin } from "../foreign/imported-config.ts";

/** A setting of a registry and its origin. */
export interface Setting {
  readonly value: string;
  readonly from: Origin;
}
