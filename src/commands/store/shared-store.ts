import { MAX_PAGE } from "../../api/page.ts";
import type { SharedCollected, SharedObject } from "../../api/shared-store.ts";
import { type Verified, verifiedSchema } from "../../api/upkeep.ts";
import { formatSize } from "../../config/parsing/units.ts";
import { printableJson } from "../../printable.ts";
import { ProgressLine } from "../progress.ts";
import { ago, type Column, counted, tableLines } from "../table.ts";
import { type AdminClient, eachPage } from "../api/admin-client.ts";
import { filesOf, runJob } from "../api/run-job.ts";
import { onRunning, print, printJson, printLines, type StoreOptions } from "./store-connection.ts";

/*
 * What ls, gc and fsck do with --shared: the same for the store that replicas share. Only a running cache has
 * it: its credentials and the ledger are those of the cache.
 */

export const SORTED_BY = ["name", "size", "used"] as const;

const ORDERS: Readonly<
  Record<
    (typeof SORTED_BY)[number],
    ((one: SharedObject, other: SharedObject) => number) | undefined
  >
> = {
  // The order in which they come.
  name: undefined,
  size: (one, other) => other.size - one.size,
  used: (one, other) => other.used - one.used,
};

export interface ListOptions extends StoreOptions {
  readonly sort: (typeof SORTED_BY)[number];
  readonly reverse?: boolean;
}

export function runSharedLs(options: ListOptions): Promise<number> {
  return onRunning(options, async (client) => {
    const order = ORDERS[options.sort];
    // There may be millions: in their own order, they are printed as they come.
    let pages = pagesOf(client);
    if (order || options.reverse) pages = sorted(pages, order, options.reverse === true);
    await (options.json ? printObjects(pages) : printTable(pages));
    return 0;
  });
}

function pagesOf(client: AdminClient): AsyncGenerator<readonly SharedObject[]> {
  return eachPage((cursor) => {
    const query = { limit: MAX_PAGE, ...(cursor && { cursor }) };
    return client.ask(client.api.GET("/shared-store/objects", { params: { query } }));
  });
}

async function* sorted(
  pages: AsyncIterable<readonly SharedObject[]>,
  order: ((one: SharedObject, other: SharedObject) => number) | undefined,
  isReversed: boolean,
): AsyncGenerator<readonly SharedObject[]> {
  const all: SharedObject[] = [];
  for await (const page of pages) all.push(...page);
  if (order) all.sort(order);
  if (isReversed) all.reverse();
  for (let first = 0; first < all.length; first += MAX_PAGE)
    yield all.slice(first, first + MAX_PAGE);
}

async function printObjects(pages: AsyncIterable<readonly SharedObject[]>): Promise<void> {
  // The line before is printed once it is known whether it is the last.
  let line = '{\n  "objects": [';
  let isFirst = true;
  for await (const page of pages) {
    const lines: string[] = [];
    for (const object of page) {
      lines.push(isFirst ? line : `${line},`);
      line = `    ${printableJson(object).replaceAll("\n", "\n    ")}`;
      isFirst = false;
    }
    await printLines(lines);
  }
  await printLines(isFirst ? [`${line}]`, "}"] : [line, "  ]", "}"]);
}

/** Columns are as wide on every page. */
const COLUMNS: readonly Column[] = [
  { title: "DIGEST".padEnd(71) },
  { title: "SIZE".padStart(10), right: true },
  { title: "STORED".padEnd(10) },
  { title: "LAST USED" },
  { title: "STATE".padEnd(8) },
  { title: "PINNED" },
  { title: "REPOSITORIES" },
];

async function printTable(pages: AsyncIterable<readonly SharedObject[]>): Promise<void> {
  let isFirst = true;
  for await (const page of pages) {
    const [titles = "", ...lines] = tableLines(COLUMNS, page.map(cellsOf));
    await printLines(isFirst ? [titles, ...lines] : lines);
    isFirst = false;
  }
  if (isFirst) print("The shared store is empty.");
}

function cellsOf({ digest, size, stored, used, state, pinned, repositories }: SharedObject) {
  const names = repositories.length === 0 ? "-" : repositories.join(", ");
  return [digest, formatSize(size), ago(stored), ago(used), state, pinned ? "yes" : "-", names];
}

export function runSharedGc(
  options: StoreOptions & { readonly dryRun?: boolean },
): Promise<number> {
  return onRunning(options, async (client) => {
    const { dryRun = false, json } = options;
    const collected = await (dryRun
      ? client.ask(client.api.GET("/shared-store/gc"))
      : client.order(client.api.POST("/shared-store/gc")));
    if (json) printJson({ ...collected, dryRun });
    else print(collectedText(collected, dryRun));
    return 0;
  });
}

function collectedText(
  { objects, bytes, here, maxSize, leader }: SharedCollected,
  dryRun: boolean,
): string {
  if (objects === 0) {
    return `Nothing to evict: the shared store holds ${formatSize(here)} of ${formatSize(maxSize)}.`;
  }
  const amount = `${counted(objects, "object")}, ${formatSize(bytes)}`;
  if (dryRun) return `Would evict ${amount}.`;
  const who = leader === undefined ? "the replica that leads next" : leader;
  return `Marked ${amount}: ${who} deletes what is not used within 15 minutes.`;
}

export function runSharedFsck(
  options: StoreOptions & { readonly repair?: boolean; readonly rate?: number },
): Promise<number> {
  return onRunning(options, async (client) => {
    const { repair = false, rate, json } = options;
    const line = new ProgressLine();
    const body = { repair, ...(rate === undefined ? {} : { rate }) };
    const started = client.api.POST("/shared-store/fsck", { body });
    const verified = await runJob(client, started, verifiedSchema, (progress) =>
      line.show(filesOf(progress)),
    );
    line.end();
    if (json) printJson(verified);
    else print(verifiedText(verified));
    return verified.corrupt.length + verified.unreadable.length > 0 ? 1 : 0;
  });
}

function verifiedText(verified: Verified): string {
  const { files, bytes, corrupt, unreadable, found, lost, repaired } = verified;
  const lines = [`Verified ${counted(files, "object")} of the shared store, ${formatSize(bytes)}.`];
  for (const digest of corrupt) lines.push(`corrupt: ${digest}`);
  for (const { digest, reason } of unreadable) lines.push(`unreadable: ${digest}: ${reason}`);
  if (corrupt.length > 0) lines.push(corruptText(corrupt.length, repaired));
  else if (unreadable.length === 0) lines.push("All objects match their digests.");
  if (found + lost > 0) {
    const outcome = repaired ? "repaired" : "repaired by the daily list, or by --repair";
    lines.push(
      `Ledger: ${counted(found, "object")} that it did not know, ${counted(lost, "entry", "entries")} without an object: ${outcome}.`,
    );
  }
  return lines.join("\n");
}

function corruptText(count: number, repaired: boolean): string {
  const objects = counted(count, "object");
  const [is, was, it] = count === 1 ? ["is", "was", "it"] : ["are", "were", "them"];
  return repaired
    ? `${objects} ${was} removed. A replica that has ${it} writes ${it} again.`
    : `${objects} ${is} corrupt, and not served: replicas verify what they read. Run again with --repair to remove ${it}.`;
}
