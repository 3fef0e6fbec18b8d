import { Counters } from "./counters.ts";
import type { Metrics } from "./metrics.ts";

/** Counts what clients are not given as their registries have it. */
export class HoldCounters {
  readonly #held = new Counters();
  readonly #unsigned = new Counters();

  constructor(metrics: Pick<Metrics, "counters">) {
    metrics.counters(
      "entrepot_held_responses_total",
      "Responses for tags that are held (policies, overrides): with another digest than the registry's, refused, or that the registry no longer has what such a digest needs.",
      ["upstream", "answer"],
      () => this.#held,
    );
    metrics.counters(
      "entrepot_signature_refusals_total",
      "Requests for tags and digests that were refused by verify: since signatures fail, or cannot be verified now.",
      ["upstream", "reason"],
      () => this.#unsigned,
    );
  }

  held(upstream: string, answer: "other-digest" | "refused" | "missing"): void {
    this.#held.add([upstream, answer]);
  }

  unsigned(upstream: string, reason: "failed" | "unverifiable"): void {
    this.#unsigned.add([upstream, reason]);
  }
}
