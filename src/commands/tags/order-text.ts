import type { OverrideItem, Ordered } from "../../api/overrides.ts";
import { printable } from "../../printable.ts";
import { reachText } from "../store/replica-reach.ts";
import { duration } from "../table.ts";
import { localTime } from "./moment.ts";

/** Enough of a digest to tell it from others: `sha256:0123456789ab`. */
export function shortDigest(digest: string): string {
  return digest.slice(0, digest.indexOf(":") + 13);
}

/** What an order came to, in sentences. */
export function orderedText(
  { overrides, notes, stay, dryRun, replicas }: Ordered,
  now: number,
): string {
  const lines = overrides.map(
    (override) => `${sentence(override, dryRun)}${boundText(override, now)}.`,
  );
  if (stay) {
    const had = `It had it from ${localTime(stay.firstSeen)} to ${localTime(stay.lastSeen)}`;
    lines.push(`${had}.`);
  }
  lines.push(...notes.map((note) => `${capitalized(printable(note))}.`));
  const made = overrides.filter(({ ended }) => !ended).map(endingText);
  if (!dryRun) lines.push(...made, ...reachText("Done", replicas));
  return lines.join("\n");
}

function sentence(override: OverrideItem, dryRun: boolean): string {
  const { kind, pattern, digest, asOf, ended } = override;
  const does = (done: string, would: string): string => (dryRun ? `Would ${would}` : done);
  if (ended)
    return `${does("Ended", "end")} the ${kind} of ${pattern} by ${printable(override.by)}`;
  const to = digest === undefined ? "" : shortDigest(digest);
  switch (kind) {
    case "release":
      return `${does("Released", "release")} ${shortened(pattern)}`;
    case "rollback":
      return `${does("Rolled back", "roll back")} ${pattern} to ${to}`;
    case "freeze":
      return `${does("Froze", "freeze")} ${pattern} as of ${localTime(asOf ?? 0)}`;
    case "hold":
      return to === ""
        ? `${does("Held back", "hold back")} ${shortened(pattern)}`
        : `${does("Held", "hold")} ${pattern} at ${to}`;
  }
}

function endingText({ kind, pattern }: OverrideItem): string {
  if (kind === "freeze") return `entrepot unfreeze '${pattern}' ends it.`;
  // A digest that was released may be held again.
  if (kind === "release") return `entrepot overrides shows it.`;
  return `entrepot release ${pattern} ends it.`;
}

function boundText({ until, ended }: OverrideItem, now: number): string {
  if (until === undefined || ended) return "";
  return `, until ${localTime(until)} (in ${duration((until - now) / 1000)})`;
}

/** A pattern with the first digits of its digest. */
export function shortened(pattern: string): string {
  return pattern.replace(/@(sha\d+:[a-f0-9]{12})[a-f0-9]+$/, "@$1");
}

function capitalized(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
