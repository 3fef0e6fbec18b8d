import type { Row } from "./panel.ts";
import { CACHE, UPSTREAM, WINDOW } from "./selectors.ts";

/** Nothing is held where no policies are configured, and no override is made. */
export const HOLDS: Row = {
  title: "Held tags and signatures",
  isCollapsed: true,
  panels: [
    {
      kind: "timeseries",
      title: "Held tags",
      description:
        "Tags that are not served as their registries say, of those that were asked for lately.",
      unit: "short",
      width: 8,
      queries: [{ expr: `entrepot_held_tags{${CACHE}}`, legend: "{{instance}}" }],
    },
    {
      kind: "timeseries",
      title: "Pulls of held tags",
      description: "With another digest than the registry's, or refused.",
      unit: "reqps",
      width: 8,
      isStacked: true,
      queries: [
        {
          expr: `sum by (upstream, answer) (rate(entrepot_held_responses_total{${UPSTREAM}}[${WINDOW}]))`,
          legend: "{{upstream}} {{answer}}",
        },
      ],
    },
    {
      kind: "timeseries",
      title: "Overrides in force",
      description: "Of operators: `entrepot overrides` lists them.",
      unit: "short",
      width: 8,
      isStacked: true,
      queries: [
        // Replicas have the same ones.
        { expr: `max by (kind) (entrepot_overrides{${CACHE}})`, legend: "{{kind}}" },
      ],
    },
    {
      kind: "timeseries",
      title: "Verdicts on signatures",
      description: "Of digests, by the mode of the rule that asks for them.",
      unit: "short",
      width: 8,
      queries: [
        {
          expr: `sum by (mode, outcome) (increase(entrepot_verifications_total{${CACHE}}[${WINDOW}]))`,
          legend: "{{mode}} {{outcome}}",
        },
      ],
    },
    {
      kind: "timeseries",
      title: "Digests that fail",
      description:
        "Whose signatures are not as a rule wants them, by its mode: `entrepot history` lists them.",
      unit: "short",
      width: 8,
      queries: [
        { expr: `max by (mode) (entrepot_failing_verifications{${CACHE}})`, legend: "{{mode}}" },
      ],
    },
    {
      kind: "timeseries",
      title: "Refused for signatures",
      description: "Since they fail, or cannot be verified now.",
      unit: "reqps",
      width: 8,
      isStacked: true,
      queries: [
        {
          expr: `sum by (upstream, reason) (rate(entrepot_signature_refusals_total{${UPSTREAM}}[${WINDOW}]))`,
          legend: "{{upstream}} {{reason}}",
        },
      ],
    },
  ],
};
