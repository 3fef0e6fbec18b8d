import { Command, InvalidArgumentError, Option } from "commander";
import { formatSize } from "../../config/parsing/units.ts";
import { loadSettings } from "../../config/load.ts";
import { ConfigError } from "../../config/parsing/problems.ts";
import { Fault } from "../../oci/fault.ts";
import { DataDirectoryError } from "../../store/directory/data-directory.ts";
import { describeSystemError } from "../../store/storage-fault.ts";
import { MetadataError } from "../../store/sql/open-metadata.ts";
import { createLog } from "../../telemetry/log.ts";
import { ENOUGH_MEMORY, memoryLimit } from "../../process/memory-limit.ts";
import { exitAfter } from "../../process/exit-deadline.ts";
import { printable, printableLines } from "../../printable.ts";
import { version } from "../../version.ts";
import { banner } from "./banner.ts";
import type { Settings } from "../../config/settings.ts";
import { ServiceManager } from "../../process/service-manager.ts";
import { asReplica, endWithParent, localReplica } from "../local-cluster/local-replica.ts";
import type { Listening } from "../ports/listeners.ts";
import { ListenError } from "../ports/open-port.ts";
import { counted } from "../table.ts";
import { LiveSettings, type Reload } from "./live-settings.ts";
import { runCache } from "./running-cache.ts";

interface ServeOptions {
  readonly config?: string;
  readonly listen?: string;
  readonly admin?: string;
  readonly data?: string;
  readonly workers?: string;
  /** Hidden: for `npm start`, which keeps its data in the checkout. */
  readonly defaultData?: string;
  readonly localCluster?: number;
  readonly logFormat?: "json" | "text";
  readonly logLevel: string;
}

/**
 * How long after the signal the process ends at the latest, in milliseconds: 15 s for requests and
 * downloads, and the rest for closing the store.
 */
const EXIT_DEADLINE_MS = 18_000;
const UNFINISHED =
  "entrepot: the disk did not finish in time: ended without closing the store, which the next start repairs\n";

const LEVELS = ["debug", "info", "warn", "error"];

export function serveCommand(): Command {
  return new Command("serve")
    .description("run the cache")
    .option("--config <file>", "the configuration file, entrepot.yaml (ENTREPOT_CONFIG)")
    .option(
      "--listen <address>",
      "address that nodes pull from (default: 0.0.0.0:5000; ENTREPOT_LISTEN)",
    )
    .option(
      "--admin <address>",
      "address of the metrics and the admin API (default: 127.0.0.1:5001; ENTREPOT_ADMIN)",
    )
    .option("--data <dir>", "data directory (default: /var/lib/entrepot; ENTREPOT_DATA)")
    .option(
      "--workers <number>",
      "threads that accept connections of nodes: a number, or auto (default: auto; ENTREPOT_WORKERS)",
    )
    .option(
      "--local-cluster <number>",
      "run so many replicas on this machine, to try them out: each below the data directory, and at ports of its own",
      parseCount,
    )
    .addOption(
      new Option("--default-data <dir>", "data directory where nothing names one").hideHelp(),
    )
    .addOption(
      new Option(
        "--log-format <format>",
        "format of the log (default: text on a terminal, else json)",
      ).choices(["json", "text"]),
    )
    .addOption(
      new Option("--log-level <level>", "lowest level that is logged")
        .choices(LEVELS)
        .default("info"),
    )
    .action(async (options: ServeOptions) => {
      process.exitCode = await serve(options);
    });
}

async function serve(options: ServeOptions): Promise<number> {
  const isTerminal = process.stdout.isTTY;
  const format = options.logFormat ?? (isTerminal ? "text" : "json");
  try {
    if (options.localCluster !== undefined) return await serveSeveral(options, format);
    const log = createLog({ format, level: options.logLevel });
    const replica = localReplica(process.env);
    if (replica) endWithParent();
    const liveSettings = new LiveSettings({
      load: { flags: options, env: process.env },
      adapt: replica && ((settings) => asReplica(settings, replica)),
      log,
    });
    const manager = new ServiceManager(process.env, (reason) => log.warn(reason));
    const { settings } = liveSettings;
    for (const line of settings.unsupported ?? []) {
      process.stderr.write(`entrepot: unsupported setting ignored: ${printable(line)}\n`);
    }
    const limit = memoryLimit();
    const enough = `give it at least ${formatSize(ENOUGH_MEMORY)}`;
    if (limit < ENOUGH_MEMORY) {
      log.warn(
        `with a memory limit of ${formatSize(limit)}, many pulls at once may end it: ${enough}`,
      );
    }
    const stopSignal = firstSignal();
    void stopSignal.then(() => exitAfter(EXIT_DEADLINE_MS, UNFINISHED));
    const starting = runCache(settings, log, {
      reread: (name) => liveSettings.credentials(name),
      reload: () => liveSettings.reload(),
      configuration: () => liveSettings.configuration,
    });
    const running = await Promise.race([starting, stopSignal]);
    if (typeof running === "string") {
      // Nothing was served yet, and a start can break off at any moment.
      starting.catch(() => {});
      log.info({ signal: running }, "stopped before the start was complete");
      log.flush();
      return 0;
    }
    liveSettings.onChange((changed) => running.reconfigure(changed));
    const tellReady = (last?: Reload): void =>
      manager.ready(serviceStatus(liveSettings.settings, running.listening, last));
    liveSettings.onReload(tellReady);
    process.on("SIGHUP", () => {
      manager.reloading();
      liveSettings.reload();
    });
    tellReady();
    if (isTerminal)
      console.log(`${printableLines(banner(version, settings, running.listening))}\n`);
    const { listening, memory } = running;
    log.info({ ...listening, version, data: settings.dataDirectory, memory }, "listening");
    log.flush();
    const signal = await stopSignal;
    log.info(
      { signal },
      "stopping: waiting for requests and downloads in progress; a second signal stops at once",
    );
    manager.stopping("waiting for requests and downloads in progress");
    liveSettings.close();
    await running.close().catch((error: unknown) => {
      // It has ended as it was told to. What is missing is what a power cut would have left out.
      log.error(
        { error: describeSystemError(error) },
        "the store was not closed completely: the next start repairs it",
      );
    });
    log.info("stopped");
    log.flush();
    return 0;
  } catch (error) {
    if (error instanceof ConfigError) return printError(error, 2);
    const isExpected =
      error instanceof Fault ||
      error instanceof DataDirectoryError ||
      error instanceof MetadataError ||
      error instanceof ListenError;
    if (isExpected) return printError(error, 1);
    throw error;
  }
}

function parseCount(text: string): number {
  if (/^\d{1,4}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("Write how many replicas, such as 3.");
}

/** Runs replicas of this cache beside each other. */
async function serveSeveral(options: ServeOptions, format: "json" | "text"): Promise<number> {
  const { config, workers, logLevel, localCluster: count = 0 } = options;
  const { serveLocalCluster } = await import("../local-cluster/serve-local-cluster.ts");
  const given = Object.entries({ "--config": config, "--workers": workers });
  const flags = given.flatMap(([flag, value]) => (value === undefined ? [] : [flag, value]));
  flags.push("--log-format", format, "--log-level", logLevel);
  const settings = loadSettings({ flags: options, env: process.env });
  const areMarked = format === "text";
  return serveLocalCluster({ count, settings, flags, areMarked, stopSignal: firstSignal() });
}

/** One line for `systemctl status`. */
function serviceStatus(settings: Settings, { listen }: Listening, last?: Reload): string {
  const { problems: [problem] = [], needsRestart: [change] = [] } = last ?? {};
  const running = `caching ${counted(settings.upstreams.size, "registry", "registries")} at ${listen}`;
  if (problem !== undefined) {
    return `${running}; the configuration is rejected, the previous one stays in use: ${problem}`;
  }
  return change === undefined ? running : `${running}; needs a restart: ${change}`;
}

function printError(error: Error, code: number): number {
  process.stderr.write(`entrepot: ${printableLines(error.message)}\n`);
  return code;
}

/** The first SIGINT or SIGTERM. A second one ends the process at once. */
function firstSignal(): Promise<NodeJS.Signals> {
  const { promise, resolve } = Promise.withResolvers<NodeJS.Signals>();
  let count = 0;
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      count += 1;
      if (count > 1) process.exit(130);
      resolve(signal);
    });
  }
  return promise;
}
