import type { Overrides, ParsedOverride } from "../../../cache/tag-policy/overrides.ts";
import type { OverrideKind } from "../../../store/override-store.ts";
import type { Metrics } from "../../../telemetry/metrics.ts";

export interface HoldGaugesParts {
  readonly heldTags: () => number;
  /** By the mode of the rule, how many digests have signatures that fail. */
  readonly failing: () => ReadonlyMap<string, number>;
  readonly overrides: Pick<Overrides, "active">;
}

const KINDS: readonly OverrideKind[] = ["release", "hold", "rollback", "freeze"];

/** What is held now, and by which overrides. */
export function holdGauges(
  metrics: Pick<Metrics, "gauge" | "gauges">,
  { heldTags, failing, overrides }: HoldGaugesParts,
): void {
  metrics.gauge(
    "entrepot_held_tags",
    "Tags that are not served as their registries say, of those that were asked for lately.",
    heldTags,
  );
  metrics.gauges(
    "entrepot_failing_verifications",
    "Digests whose signatures fail, by the mode of the rule that asks for them; 500 stand for more.",
    ["mode"],
    () => [...failing()].map(([mode, value]) => ({ labels: [mode], value })),
  );
  metrics.gauges(
    "entrepot_overrides",
    "Overrides of operators (release, hold, rollback, freeze) that are in force.",
    ["kind"],
    () => {
      const active = [...overrides.active(Date.now())];
      return KINDS.map((kind) => ({
        labels: [kind],
        value: active.filter(({ override }) => override.kind === kind).length,
      }));
    },
  );
  metrics.gauges(
    "entrepot_oldest_endless_override_timestamp_seconds",
    "When the oldest override without an end was made that keeps tags where they are (hold, rollback, freeze). None if there is none.",
    [],
    () => {
      const endless = [...overrides.active(Date.now())].filter(keepsTags);
      if (endless.length === 0) return [];
      const oldest = Math.min(...endless.map(({ override }) => override.since));
      return [{ labels: [], value: oldest / 1000 }];
    },
  );
}

/** A digest that is released, or given to nobody, is so for good. */
function keepsTags({ override: { kind, until }, pattern }: ParsedOverride): boolean {
  return until === undefined && kind !== "release" && !pattern.digest;
}
