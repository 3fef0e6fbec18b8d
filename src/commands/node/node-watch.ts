import { Command } from "commander";
import { parseDuration } from "../../config/parsing/units.ts";
import { watch } from "../../node/watch.ts";
import { readCa } from "./ca-file.ts";
import type { NodeOptions } from "./node-options.ts";
import { WrongUse, openCache, openNode, run } from "./node-options.ts";

interface WatchOptions extends NodeOptions {
  readonly cache?: string;
  readonly ca?: string;
  readonly grace: string;
  readonly interval: string;
}

export function watchCommand(): Command {
  return new Command("watch")
    .description(
      "take the cache out while it fails and put it back when it is well; runs until it is ended",
    )
    .option("--cache <url>", "ask this one, in place of the cache that the node is wired to")
    .option("--ca <file>", "the authority of its certificate, in place of the journal's")
    .option("--grace <duration>", "how long it may fail before it is taken out", "15s")
    .option("--interval <duration>", "between two looks at it", "2s")
    .action((options: WatchOptions) => run(options.json, () => keep(options)));
}

async function keep(options: WatchOptions): Promise<number> {
  const graceMs = duration("--grace", options.grace);
  const intervalMs = Math.max(100, duration("--interval", options.interval));
  const context = openNode(options);
  if (context.filesOnly) throw new WrongUse("watch looks after a running node: leave --root out");
  const wish = context.ownJournal()?.wish;
  const url = options.cache ?? wish?.cache;
  if (url === undefined)
    throw new WrongUse("nothing is wired here: entrepot node apply does that first");
  const named = options.cache !== undefined || options.ca !== undefined;
  const ca = options.ca === undefined ? wish?.cacheCa : readCa(options.ca);
  const ending = new AbortController();
  process.once("SIGTERM", () => ending.abort());
  process.once("SIGINT", () => ending.abort());
  const say = (line: string): void => {
    const at = new Date().toISOString();
    console.log(options.json ? JSON.stringify({ at, event: line }) : `${at}  ${line}`);
  };
  say(`watching ${url}: taken out after ${options.grace} of failure, back when it is well`);
  const rest = { graceMs, intervalMs, signal: ending.signal, say };
  await watch({ context, ...(named ? { cache: openCache(url, ca) } : {}), ...rest });
  say("ending: the wiring stays as it is");
  return 0;
}

function duration(option: string, text: string): number {
  const parsed = parseDuration(text);
  if (parsed === undefined) throw new WrongUse(`${option} ${text} is no duration: write 15s or 2m`);
  return parsed;
}
