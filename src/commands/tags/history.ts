import type { Command } from "commander";
import type { Held, TagHistory } from "../../api/tag-history.ts";
import type { AdminClient } from "../api/admin-client.ts";
import { printable } from "../../printable.ts";
import {
  CommandError,
  onRunning,
  print,
  printJson,
  storeCommand,
  type StoreOptions,
} from "../store/store-connection.ts";
import { duration, table } from "../table.ts";
import { localTime, localZone } from "./moment.ts";
import { shortDigest, shortened } from "./order-text.ts";
import { overridesText } from "./overrides.ts";

export function historyCommand(): Command {
  return storeCommand("history", "show what a tag was, what is served of it, and why")
    .argument("[image]", "the tag, such as node:24; without it, what is held now is listed")
    .action(async (image: string | undefined, options: StoreOptions) => {
      process.exitCode = await onRunning(options, async (client) => {
        if (image === undefined) return listHeld(client, options);
        const params = { query: { image } };
        const history = await client.ask(client.api.GET("/tag-history", { params }));
        if (options.json) printJson(history);
        else if (history.stays.length === 0) throw unknown(history.image);
        else print(historyText(history, Date.now()));
        return 0;
      });
    });
}

async function listHeld(client: AdminClient, { json }: StoreOptions): Promise<number> {
  const held = await client.ask(client.api.GET("/held"));
  if (json) printJson(held);
  else print(heldText(held));
  return 0;
}

export function heldText({ tags, unverified }: Held): string {
  const parts: string[] = [];
  if (tags.length > 0) {
    const columns = ["IMAGE", "SERVED", "UNTIL", "WHY"].map((title) => ({ title }));
    const rows = tags.map(({ image, served, hold: { until, text } }) => [
      image,
      served === undefined ? "refused" : shortDigest(served),
      until === undefined ? "-" : localTime(until),
      printable(text),
    ]);
    parts.push(`${table(columns, rows)}\nTimes are in ${localZone()}.`);
  }
  if (unverified.length > 0) {
    const columns = ["SIGNATURES FAIL OF", "RULE", "WHY"].map((title) => ({ title }));
    const rows = unverified.map(({ image, mode, detail }) => [
      shortened(image),
      mode === "enforce" ? "enforces" : "observes",
      printable(detail),
    ]);
    parts.push(table(columns, rows));
  }
  if (parts.length === 0) return "Nothing is held of the tags that were asked for lately.";
  return parts.join("\n\n");
}

function unknown(image: string): CommandError {
  return new CommandError(
    `nothing is known of ${image}: pull it through this cache once, or see whether the name is right (entrepot ls)`,
  );
}

export function historyText(history: TagHistory, now: number): string {
  const { image, hold, overrides } = history;
  const active = overrides.filter(({ isActive }) => isActive);
  const parts = [
    [image, servedText(history)].join("\n"),
    [staysTable(history), `Times are in ${localZone()}.`].join("\n"),
  ];
  if (hold) parts.push(holdText(hold, now));
  if (overrides.length > 0) {
    parts.push(
      overridesText(active, overrides.length - active.length).replace(
        "--all",
        "entrepot overrides --all",
      ),
    );
  }
  return parts.join("\n\n");
}

function servedText({ served, hold, stays }: TagHistory): string {
  if (served === undefined) return "It is not served.";
  const isCurrent = served === stays[0]?.digest;
  if (!isCurrent) return `Served as ${shortDigest(served)}, which is not what its registry says.`;
  return hold
    ? `Served as ${shortDigest(served)}, what its registry says.`
    : `Served as its registry says: ${shortDigest(served)}.`;
}

function holdText({ text, until }: NonNullable<TagHistory["hold"]>, now: number): string {
  const why = printable(text);
  if (until === undefined) return `${why}.`;
  return `${why}.\nIt ends by itself at ${localTime(until)} (in ${duration((until - now) / 1000)}).`;
}

function staysTable({ stays, served, digest: current }: TagHistory): string {
  const isVerified = stays.some(({ verification }) => verification);
  const columns = [
    ..."DIGEST,FIRST SEEN,LAST SEEN,FIRST SERVED,BY,HERE".split(","),
    ...(isVerified ? ["SIGNATURES"] : []),
    "NOW",
  ].map((title) => ({ title }));
  let isMarked = false;
  const rows = stays.map((stay, index) => {
    const { digest, firstSeen, lastSeen, firstServed, source, isStored, verification } = stay;
    // A tag may have gone back to a digest, which is served once.
    const isServed = digest === served && !isMarked;
    isMarked ||= isServed;
    const marks = [
      ...(index === 0 && digest === current ? ["registry"] : []),
      ...(isServed ? ["served"] : []),
    ];
    return [
      shortDigest(digest),
      localTime(firstSeen),
      localTime(lastSeen),
      firstServed === undefined ? "-" : localTime(firstServed),
      source === undefined ? "-" : printable(source),
      isStored ? "yes" : "no",
      ...(isVerified ? [verification?.outcome ?? "-"] : []),
      marks.join(", "),
    ];
  });
  return table(columns, rows);
}
