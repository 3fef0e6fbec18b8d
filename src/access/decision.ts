/** As what a request is let in: where everybody is, or a registry or the rules of this cache say so. */
export type Grant = "open" | "public" | "granted" | "clients";

/**
 * What was decided about who asks. `unauthorized`: it showed nothing. `refused`: what it showed is not accepted.
 * `not-permitted`: it is known, and may not. `slowed`: too many attempts failed. `denied`: nobody may.
 */
export type AccessDecision =
  Grant | "unauthorized" | "refused" | "not-permitted" | "slowed" | "denied";
