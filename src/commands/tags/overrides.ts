import type { Command } from "commander";
import type { OverrideItem } from "../../api/overrides.ts";
import { printable } from "../../printable.ts";
import {
  onRunning,
  print,
  printJson,
  storeCommand,
  type StoreOptions,
} from "../store/store-connection.ts";
import { counted, table } from "../table.ts";
import { localTime, localZone } from "./moment.ts";
import { shortDigest, shortened } from "./order-text.ts";

interface OverridesOptions extends StoreOptions {
  readonly all?: boolean;
}

export function overridesCommand(): Command {
  return storeCommand(
    "overrides",
    "list what operators decided of tags: release, hold, rollback, freeze",
  )
    .option("--all", "also what has ended")
    .action(async (options: OverridesOptions) => {
      process.exitCode = await onRunning(options, async (client) => {
        const { items, hidden = 0 } = await client.ask(client.api.GET("/overrides"));
        const shown = options.all ? items : items.filter(({ isActive }) => isActive);
        if (options.json) printJson({ overrides: shown });
        else print(overridesText(shown, items.length - shown.length));
        if (!options.json && hidden > 0)
          print(`${counted(hidden, "override")} of private images are not shown.`);
        return 0;
      });
    });
}

/** @param ended how many are not shown, since they have ended */
export function overridesText(overrides: readonly OverrideItem[], ended: number): string {
  const more = ended === 0 ? [] : [`${counted(ended, "override")} ended: --all shows them.`];
  if (overrides.length === 0) {
    return ["No override holds: tags are served by the rules of the configuration.", ...more].join(
      "\n",
    );
  }
  const columns = ["KIND", "WHAT", "TO", "SINCE", "UNTIL", "BY", "REASON"].map((title) => ({
    title,
  }));
  const lines = [table(columns, overrides.map(rowOf)), `Times are in ${localZone()}.`];
  return [...lines, ...more].join("\n");
}

function rowOf(override: OverrideItem): string[] {
  const { kind, pattern, since, by, reason } = override;
  return [
    kind,
    shortened(pattern),
    aimOf(override),
    localTime(since),
    endText(override),
    printable(by),
    printable(reason),
  ];
}

function aimOf({ kind, digest, asOf, isUnverified }: OverrideItem): string {
  if (kind === "freeze") return asOf === undefined ? "-" : `as of ${localTime(asOf)}`;
  if (kind === "release") return isUnverified ? "served, unverified" : "served";
  return digest === undefined ? "nobody" : shortDigest(digest);
}

function endText({ until, ended }: OverrideItem): string {
  if (ended) return `ended ${localTime(ended.at)} by ${printable(ended.by)}`;
  return until === undefined ? "no end" : localTime(until);
}
