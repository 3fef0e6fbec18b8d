import type { Command } from "commander";
import { formatSize } from "../../config/parsing/units.ts";
import { onStore, type StoreOptions, print, printJson, storeCommand } from "./store-connection.ts";
import { type Status, statusSchema } from "../status-schema.ts";
import { ago, counted, duration, table } from "../table.ts";

/** In words that need no knowledge of circuits. */
const STATES = { closed: "ok", open: "out", "half-open": "being tried" } as const;

/** More would leave nothing else on the screen. */
const SHOWN_FILLS = 15;

export function statusCommand(): Command {
  return storeCommand("status", "what the cache is doing, and whether something is wrong").action(
    async (options: StoreOptions) => {
      process.exitCode = await status(options);
    },
  );
}

function status(options: StoreOptions): Promise<number> {
  return onStore(
    options,
    async (reached) => {
      // It needs a running one, so that it is one.
      if (reached.kind !== "running") return 1;
      const told = await reached.client.get("status", statusSchema);
      if (options.json) printJson(told);
      else print(statusText(told, Date.now()));
      return told.problems.length === 0 ? 0 : 1;
    },
    { needsRunning: true },
  );
}

/** One screen, with what is wrong at its end, where the eye is. */
export function statusText(told: Status, now: number): string {
  const { version, startedAt, listening, problems } = told;
  const up = duration((now - startedAt) / 1000);
  const parts = [
    `Entrepot ${version} at ${listening.listen}, admin at ${listening.admin}, up ${up}`,
    storageText(told.storage),
    fillsText(told.fills, now),
    upstreamTable(told.upstreams),
    addressTable(told.upstreams, now),
    problems.length === 0
      ? "Nothing is wrong."
      : ["Wrong:", ...problems.map((problem) => `  ${problem}`)].join("\n"),
  ];
  return parts.join("\n\n");
}

function storageText(storage: Status["storage"]): string {
  const { blobs, blobBytes, partialBytes, pinnedBytes, maxSize, minFree, free, isFull } = storage;
  const part = maxSize === 0 ? 0 : Math.round((100 * (blobBytes + partialBytes)) / maxSize);
  const disk =
    free === undefined
      ? "the disk does not tell what is free"
      : `${formatSize(free)} free on the disk, ${formatSize(minFree)} of it to stay free`;
  const details = [
    `${formatSize(partialBytes)} of it on the way in`,
    `${formatSize(pinnedBytes)} pinned`,
    isFull ? "FULL" : "not full",
  ];
  return [
    `Store      ${storage.dataDirectory}`,
    `           ${formatSize(blobBytes + partialBytes)} of ${formatSize(maxSize)} (${part} %) in ${counted(blobs, "blob")}: ${details.join(", ")}`,
    `           ${disk}`,
  ].join("\n");
}

function fillsText(fills: Status["fills"], now: number): string {
  if (fills.length === 0) return "Downloads  none under way";
  const columns = [
    { title: "DOWNLOAD" },
    { title: "SIZE", right: true },
    { title: "DONE", right: true },
    { title: "SPEED", right: true },
    { title: "LEFT", right: true },
    { title: "CLIENTS", right: true },
  ];
  const rows = fills
    .slice(0, SHOWN_FILLS)
    .map(({ digest, source, size, received, kept, ...fill }) => {
      const seconds = Math.max(0.001, (now - fill.since) / 1000);
      const speed = (received - kept) / seconds;
      const left = size === undefined || speed === 0 ? "-" : duration((size - received) / speed);
      return [
        `${source}@${digest.slice(0, 19)}…`,
        size === undefined ? "-" : formatSize(size),
        size === undefined ? formatSize(received) : `${percent(received, size)} %`,
        `${formatSize(Math.round(speed))}/s`,
        left,
        String(fill.clients),
      ];
    });
  const more = fills.length - rows.length;
  return table(columns, rows) + (more > 0 ? `\n… and ${more} more` : "");
}

function upstreamTable(upstreams: Status["upstreams"]): string {
  const columns = [
    { title: "UPSTREAM" },
    { title: "STATE" },
    { title: "ANSWERS", right: true },
    { title: "HITS", right: true },
    { title: "SERVED", right: true },
    { title: "SAVED", right: true },
    { title: "CREDENTIALS" },
  ];
  const rows = upstreams.map(({ name, state, traffic, credentials }) => [
    name,
    state,
    String(traffic.answers),
    traffic.hitRatio === undefined ? "-" : `${percent(traffic.hitRatio, 1)} %`,
    formatSize(traffic.sentBytes),
    formatSize(traffic.savedBytes),
    credentials.state,
  ]);
  return table(columns, rows);
}

function addressTable(upstreams: Status["upstreams"], now: number): string {
  const columns = [
    { title: "ADDRESS" },
    { title: "STATE" },
    { title: "BUDGET" },
    { title: "LAST ERROR" },
  ];
  const rows = upstreams.flatMap(({ addresses }) =>
    addresses.map((address) => {
      const { url, circuit, since, budget, limitedUntil, lastError } = address;
      const state = circuit === "closed" && since !== undefined ? "failing" : STATES[circuit];
      const of = budget?.limit === undefined ? "" : ` of ${budget.limit}`;
      const left = budget ? `${budget.remaining}${of} per ${duration(budget.window)}` : "-";
      const limited = limitedUntil === undefined ? 0 : (limitedUntil - now) / 1000;
      return [
        url.replace(/\/$/, ""),
        since === undefined ? state : `${state} for ${duration((now - since) / 1000)}`,
        limited > 0 ? `none for ${duration(limited)}` : left,
        lastError ? `${ago(lastError.at, now)}: ${lastError.message}` : "-",
      ];
    }),
  );
  return table(columns, rows);
}

/** Whole percents, of which the last one means all. */
function percent(part: number, whole: number): number {
  return whole === 0 ? 100 : Math.floor((100 * part) / whole);
}
