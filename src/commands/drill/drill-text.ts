import type { Drill } from "../../api/drill.ts";
import { counted, duration, table } from "../table.ts";

/** The most images of each list. */
const MAX_SHOWN = 40;

/** Whether everything that was asked for, and is wanted, was there. */
export function isPassed({ requests, unready = [] }: Drill): boolean {
  return requests.failed === 0 && unready.length === 0;
}

/** What a drill shows, for people. */
export function drillText(drill: Drill, now: number = Date.now()): string {
  const { upstreams, endsAt, endedAt, startedAt, countedSince, requests } = drill;
  const names = upstreams.join(", ");
  const isOne = upstreams.length === 1;
  const head =
    endedAt === undefined
      ? `${names} ${isOne ? "counts" : "count"} as dead in this cache until ${clock(endsAt)}, for another ${duration((endsAt - now) / 1000)}.`
      : `The drill of ${names} is over: ${isOne ? "it" : "they"} counted as dead for ${duration(Math.round((endedAt - startedAt) / 1000))}.`;
  const { served, stale, failed } = requests;
  const all = served + stale + failed;
  const restarted =
    countedSince > startedAt
      ? ` Counted since ${clock(countedSince)}, when the cache was restarted.`
      : "";
  const requestsText =
    all === 0
      ? "Nothing was asked for."
      : `${counted(all, "request")}: ${served} answered, ${stale} with a stale tag, ${failed} failed.`;
  return [
    head,
    requestsText + restarted,
    ...failedLines(drill),
    ...staleLines(drill),
    ...unreadyLines(drill),
  ].join("\n");
}

function failedLines({ images }: Drill): string[] {
  const failed = images.filter((image) => image.failed > 0);
  if (failed.length === 0) return [];
  const rows = failed
    .slice(0, MAX_SHOWN)
    .map(({ image, failed: count, error = "" }) => [`  ${image}`, String(count), error]);
  const columns = [{ title: "  IMAGE" }, { title: "FAILED", right: true }, { title: "WHY" }];
  return ["", "Would have failed:", table(columns, rows), ...more(failed)];
}

function staleLines({ images }: Drill): string[] {
  const stale = images.filter((image) => image.failed === 0 && image.stale > 0);
  if (stale.length === 0) return [];
  const lines = stale.slice(0, MAX_SHOWN).map(({ image }) => `  ${image}`);
  return ["", "Served as last known:", ...lines, ...more(stale)];
}

function unreadyLines({ unready = [] }: Drill): string[] {
  if (unready.length === 0) return [];
  const rows = unready.slice(0, MAX_SHOWN).map(({ image, reason }) => [`  ${image}`, reason]);
  const columns = [{ title: "  IMAGE" }, { title: "WHY" }];
  return ["", "Wanted, and not here:", table(columns, rows), ...more(unready)];
}

function more(list: readonly unknown[]): string[] {
  return list.length > MAX_SHOWN ? [`  and ${list.length - MAX_SHOWN} more (--json has all)`] : [];
}

/** The time of the day, as this machine has it. */
function clock(moment: number): string {
  const date = new Date(moment);
  return [date.getHours(), date.getMinutes(), date.getSeconds()]
    .map((part) => String(part).padStart(2, "0"))
    .join(":");
}
