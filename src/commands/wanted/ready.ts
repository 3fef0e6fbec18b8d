import type { Command } from "commander";
import { formatSize } from "../../config/parsing/units.ts";
import type { ReadinessPage, ReadinessReport, WantedImageState } from "../../api/readiness.ts";
import type { AdminClient } from "../api/admin-client.ts";
import { printable } from "../../printable.ts";
import { counted, table } from "../table.ts";
import {
  onRunning,
  print,
  printJson,
  storeCommand,
  type StoreOptions,
} from "../store/store-connection.ts";
import { each, runWarm } from "./warm.ts";
import { warmText } from "./warm-text.ts";

interface ReadyOptions extends StoreOptions {
  readonly platform: readonly string[];
  readonly fix?: true;
  readonly all?: true;
}

/** How many images one answer has. */
const PAGE = 1000;
/** How many of those who want an image are shown. */
const MAX_SHOWN = 2;

export function readyCommand(): Command {
  return storeCommand("ready", "tell whether images would start if their registry died now")
    .argument("[images...]", "which images (default: all that are wanted)")
    .option(
      "--platform <platform>",
      "for which platform, such as linux/arm64; may be given several times (default: those in use)",
      each,
      [],
    )
    .option("--fix", "download what is missing")
    .option("--all", "list the images that are ready, too")
    .action(async (images: readonly string[], options: ReadyOptions) => {
      process.exitCode = await onRunning(options, (client) => ready(client, images, options));
    });
}

async function ready(
  client: AdminClient,
  images: readonly string[],
  options: ReadyOptions,
): Promise<number> {
  const { fix = false, json = false, all = false } = options;
  const platforms = [...options.platform];
  let report = await read(client, images, platforms);
  if (fix && report.items.some(isLacking)) {
    const body = { images: images.length > 0 ? lackingOf(report) : [], platforms };
    const result = await runWarm(client, client.api.POST("/readiness/fix", { body }));
    if (!json) print(warmText(result));
    report = await read(client, images, platforms);
  }
  if (json) printJson(report);
  else printReport(report, all || images.length > 0);
  const isKnown = report.sources.every(({ unread = false }) => !unread);
  const isReady = isKnown && report.ratio === 1 && (images.length === 0 || report.uncached === 0);
  return isReady ? 0 : 1;
}

/** All pages as one report. */
async function read(
  client: AdminClient,
  images: readonly string[],
  platforms: string[],
): Promise<ReadinessReport> {
  if (images.length > 0) {
    const body = { images: [...images], platforms };
    return client.ask(client.api.POST("/readiness", { body }));
  }
  const items: WantedImageState[] = [];
  let cursor: string | undefined;
  for (;;) {
    const query: { limit: number; cursor?: string; fresh?: "true" } =
      cursor === undefined ? { limit: PAGE, fresh: "true" } : { limit: PAGE, cursor };
    const { next, ...page }: ReadinessPage = await client.ask(
      client.api.GET("/readiness", { params: { query } }),
    );
    items.push(...page.items);
    if (next === undefined) return { ...page, items };
    cursor = next;
  }
}

function isLacking({ state }: WantedImageState): boolean {
  return state === "partial" || state === "missing";
}

function lackingOf({ items }: ReadinessReport): string[] {
  return items.filter(isLacking).map(({ image }) => image);
}

function printReport(report: ReadinessReport, hasReady: boolean): void {
  print(report.sentence);
  for (const { name, images, problem, unread = false } of report.sources) {
    if (problem === undefined) continue;
    if (unread) print(`${name}: not read yet: ${printable(problem)}`);
    if (unread) continue;
    const known =
      images > 0 ? `: what it wanted before still counts (${counted(images, "image")})` : "";
    print(`${name}: ${printable(problem)}${known}`);
  }
  if (report.uncached > 0) {
    const [they, start] = report.uncached === 1 ? ["is", "starts"] : ["are", "start"];
    const what = `${they} not cached here, and ${start} only with ${report.uncached === 1 ? "its registry" : "their registries"}`;
    print(`${counted(report.uncached, "image")} ${what}.`);
  }
  if (report.cut !== undefined) print(`${counted(report.cut, "wanted image")} were not looked at.`);
  const shown = report.items.filter(({ state }) => hasReady || state !== "ready");
  if (shown.length > 0) print(`\n${imageTable(shown)}`);
}

function imageTable(items: readonly WantedImageState[]): string {
  const columns = [{ title: "IMAGE" }, { title: "STATE" }, { title: "WANTED BY" }, { title: "" }];
  return table(
    columns,
    items.map((item) => [printable(item.image), item.state, wantedBy(item), details(item)]),
  );
}

function wantedBy({ wantedBy: names }: WantedImageState): string {
  const more = names.length - MAX_SHOWN;
  return printable(names.slice(0, MAX_SHOWN).join(", ") + (more > 0 ? `, ${more} more` : ""));
}

function details({ reason, missing, servedUntil, pinned }: WantedImageState): string {
  if (reason !== undefined) return printable(reason);
  if (missing) return `${counted(missing.blobs, "blob")}, ${formatSize(missing.bytes)}`;
  const until =
    servedUntil === undefined
      ? ""
      : `its tag is served until ${new Date(servedUntil).toISOString()}`;
  return [until, pinned ? "pinned" : ""].filter((text) => text !== "").join(", ");
}
