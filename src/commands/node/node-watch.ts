import { setTimeout } from "node:timers/promises";
import { Command } from "commander";
import { parseDuration } from "../../config/parsing/units.ts";
import { watch } from "../../node/wiring/watch.ts";
import { readCa } from "./ca-file.ts";
import { NodeReporter, type ReportOptions, withReport } from "./node-report.ts";
import { print } from "./node-print.ts";
import type { NodeOptions } from "./node-options.ts";
import { UsageError, openCache, requireRoot, run } from "./node-options.ts";
import { openNodes } from "./node-runtimes.ts";

interface WatchOptions extends NodeOptions, ReportOptions {
  readonly cache?: string;
  readonly ca?: string;
  readonly grace: string;
  readonly interval: string;
  readonly repair?: true;
}

/** How often a watcher tells the cache how the node is wired, in milliseconds. */
const TELL_INTERVAL_MS = 300_000;
/** How long it waits after an event, for the files to be as it leaves them. */
const SOON_MS = 500;

export function watchCommand(): Command {
  return withReport(new Command("watch"))
    .description(
      "remove the cache from the runtimes' mirrors while it fails, and add it again; runs until stopped",
    )
    .option("--cache <url>", "the URL to check; by default the cache that the node is wired to")
    .option("--ca <file>", "the CA of the cache's certificate; by default the one in the journal")
    .option("--grace <duration>", "how long the cache may fail before it is removed", "15s")
    .option("--interval <duration>", "time between two health checks", "2s")
    .option(
      "--repair",
      "write hosts.toml files again that went missing or were put back; never restarts containerd",
    )
    .action((options: WatchOptions) => run(options.json, () => runWatch(options)));
}

async function runWatch(options: WatchOptions): Promise<number> {
  const graceMs = duration("--grace", options.grace);
  const intervalMs = Math.max(100, duration("--interval", options.interval));
  const reporter = NodeReporter.of(options);
  requireRoot(options, "watch");
  const { contexts } = openNodes(options, true);
  const wired = contexts.flatMap((context) => {
    const desired = context.ownJournal()?.desired;
    const url = options.cache ?? desired?.cache;
    const isWatched = desired !== undefined || (contexts.length === 1 && url !== undefined);
    return isWatched && url !== undefined ? [{ context, url, ca: desired?.cacheCa }] : [];
  });
  if (wired.length === 0)
    throw new UsageError("this node is not wired: run entrepot node apply first");
  const isNamed = options.cache !== undefined || options.ca !== undefined;
  const stop = new AbortController();
  // SIGHUP: the terminal in which it was started by hand was closed.
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const)
    process.once(signal, () => stop.abort());
  const told = wired.map(({ context }) => ({ context }));
  const telling = reporter && tellWhile(stop.signal, () => reporter.tell(told));
  const watching = wired.map(async ({ context, url, ca: known }) => {
    const { name, title } = context.runtime;
    const report = (line: string): void => {
      const at = new Date().toISOString();
      const text = wired.length > 1 ? `${title}: ${line}` : line;
      telling?.soon();
      print(options.json ? JSON.stringify({ at, runtime: name, event: line }) : `${at}  ${text}`);
    };
    report(
      `watching ${url}: it is removed after failing for ${options.grace}, until it is healthy`,
    );
    const ca = options.ca === undefined ? known : readCa(options.ca);
    const cache = isNamed ? { cache: openCache(url, ca) } : {};
    const rest = { graceMs, intervalMs, repair: options.repair === true, report };
    await watch({ context, ...cache, ...rest, signal: stop.signal });
  });
  await Promise.all([...watching, telling?.ended]);
  return 0;
}

/** Tells at once, every five minutes, and a moment after something has happened, one at a time. */
function tellWhile(
  signal: AbortSignal,
  tell: () => Promise<void>,
): { soon(): void; readonly ended: Promise<void> } {
  let wake = new AbortController();
  const telling = async (): Promise<void> => {
    while (!signal.aborted) {
      wake = new AbortController();
      await tell();
      const either = AbortSignal.any([signal, wake.signal]);
      await setTimeout(TELL_INTERVAL_MS, undefined, { signal: either }).catch(() => {});
      await setTimeout(SOON_MS, undefined, { signal }).catch(() => {});
    }
  };
  return { soon: () => wake.abort(), ended: telling() };
}

function duration(option: string, text: string): number {
  const parsed = parseDuration(text);
  if (parsed === undefined)
    throw new UsageError(`${option} ${text} is not a valid duration: write 15s or 2m`);
  return parsed;
}
