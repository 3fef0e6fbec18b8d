import type { Fault } from "../../oci/fault.ts";
import type { Budget } from "./budget.ts";

/** Why a registry is left alone by what no client waits for, and for how many milliseconds, as far as is known. */
export type Rest = { readonly left: number } & (
  | { readonly reason: "limited" }
  /** The rest of its requests is kept for pulls. */
  | { readonly reason: "budget"; readonly budget: Budget }
  | { readonly reason: "failing"; readonly fault?: Fault | undefined }
);
