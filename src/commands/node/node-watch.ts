import { Command } from "commander";
import { parseDuration } from "../../config/parsing/units.ts";
import { watch } from "../../node/wiring/watch.ts";
import { readCa } from "./ca-file.ts";
import { print } from "./node-print.ts";
import type { NodeOptions } from "./node-options.ts";
import { UsageError, openCache, requireRoot, run } from "./node-options.ts";
import { openNodes } from "./node-runtimes.ts";

interface WatchOptions extends NodeOptions {
  readonly cache?: string;
  readonly ca?: string;
  readonly grace: string;
  readonly interval: string;
  readonly repair?: true;
}

export function watchCommand(): Command {
  return new Command("watch")
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
  const watching = wired.map(async ({ context, url, ca: known }) => {
    const { name, title } = context.runtime;
    const report = (line: string): void => {
      const at = new Date().toISOString();
      const text = wired.length > 1 ? `${title}: ${line}` : line;
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
  await Promise.all(watching);
  return 0;
}

function duration(option: string, text: string): number {
  const parsed = parseDuration(text);
  if (parsed === undefined)
    throw new UsageError(`${option} ${text} is not a valid duration: write 15s or 2m`);
  return parsed;
}
