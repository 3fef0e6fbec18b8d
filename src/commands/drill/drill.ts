import { setTimeout } from "node:timers/promises";
import { Argument, type Command } from "commander";
import { type Drill, MAX_DRILL_SECONDS } from "../../api/drill.ts";
import { parseDuration } from "../../config/parsing/units.ts";
import type { AdminClient } from "../api/admin-client.ts";
import {
  CommandError,
  onRunning,
  print,
  printJson,
  storeCommand,
  type StoreOptions,
} from "../store/store-connection.ts";
import { named } from "../named-argument.ts";
import { drillText, isPassed } from "./drill-text.ts";

/** How often it is looked whether a drill has ended, in milliseconds. */
const INTERVAL_MS = 500;
/** How long after its end the cache may take to answer: it may be restarted meanwhile. In milliseconds. */
const PATIENCE_MS = 30_000;

interface DrillOptions extends StoreOptions {
  readonly down?: readonly string[];
  readonly for: string;
  readonly detach?: boolean;
}

export function drillCommand(): Command {
  return storeCommand(
    "drill",
    "have registries count as dead in this cache for a while, and report what would have failed; without --down, show the drill that goes on, or the last one",
  )
    .addArgument(new Argument("[action]", "stop: end the drill that goes on").choices(["stop"]))
    .option(
      "--down <registries>",
      "docker.io, or several of them with commas between them",
      parseRegistries,
    )
    .option("--for <duration>", "how long, such as 30s or 1h; it ends by itself then", "10m")
    .option("--detach", "do not wait for its end")
    .action(async (action: string | undefined, options: DrillOptions, command: Command) => {
      if (action === "stop" && options.down !== undefined) {
        command.error("error: stop ends the drill that goes on: leave out --down");
      }
      if (options.down === undefined && command.getOptionValueSource("for") === "cli") {
        command.error("error: --for says how long a drill lasts: name its registries with --down");
      }
      const duration = parseDuration(options.for);
      const seconds = Math.round((duration ?? 0) / 1000);
      if (seconds < 1 || seconds > MAX_DRILL_SECONDS) {
        const shown = JSON.stringify(options.for);
        command.error(`error: --for ${shown} is not valid: write 1s to 24h, such as 10m`);
      }
      process.exitCode = await onRunning(options, (client) => {
        if (action === "stop") return stopDrill(client, options);
        if (options.down === undefined) return showDrill(client, options);
        return beginDrill(client, options.down, seconds, options);
      });
    });
}

function parseRegistries(text: string): string[] {
  return text
    .split(",")
    .map((name) => named("docker.io, or several with commas between them")(name.trim()));
}

async function stopDrill(client: AdminClient, options: DrillOptions): Promise<number> {
  return report(await client.order(client.api.DELETE("/drill")), options);
}

async function showDrill(client: AdminClient, options: DrillOptions): Promise<number> {
  const drills = await client.ask(client.api.GET("/drill"));
  if (options.json) {
    printJson(drills);
    return 0;
  }
  const drill = drills.current ?? drills.last;
  print(
    drill ? drillText(drill) : "No drill goes on. Begin one with entrepot drill --down docker.io",
  );
  return 0;
}

async function beginDrill(
  client: AdminClient,
  down: readonly string[],
  seconds: number,
  options: DrillOptions,
): Promise<number> {
  const body = { upstreams: [...down], seconds };
  const begun = await client.order(client.api.POST("/drill", { body }));
  if (options.detach) {
    if (options.json) printJson(begun);
    else print(`${drillText(begun)}\nentrepot drill shows it, entrepot drill stop ends it.`);
    return 0;
  }
  const note = `${drillText(begun)}\nWaiting for its end. entrepot drill stop ends it now.\n`;
  if (!options.json) process.stderr.write(note);
  process.once("SIGINT", () => {
    process.stderr.write(
      "\nThe drill goes on without this command: entrepot drill stop ends it.\n",
    );
    process.exit(130);
  });
  return report(await ended(client, begun), options);
}

/** Waits for the end of a drill, also while the cache is away. */
async function ended(client: AdminClient, { startedAt, endsAt }: Drill): Promise<Drill> {
  for (;;) {
    await setTimeout(INTERVAL_MS);
    const drills = await client.ask(client.api.GET("/drill")).catch(() => undefined);
    if (drills?.current?.startedAt === startedAt) continue;
    if (drills?.last?.startedAt === startedAt) return drills.last;
    if (drills === undefined && Date.now() < endsAt + PATIENCE_MS) continue;
    throw new CommandError(
      drills ? "the cache was restarted after the drill: its report is lost" : "the cache is away",
    );
  }
}

function report(drill: Drill, { json }: DrillOptions): number {
  if (json) printJson(drill);
  else print(drillText(drill));
  return isPassed(drill) ? 0 : 1;
}
