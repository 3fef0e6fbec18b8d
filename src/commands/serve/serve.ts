import { Command, Option } from "commander";
import { ConfigError } from "../../config/parsing/problems.ts";
import { Fault } from "../../oci/fault.ts";
import { DataDirectoryError } from "../../store/disk/data-directory.ts";
import { MetadataError } from "../../store/sql/open-metadata.ts";
import { createLog } from "../../telemetry/log.ts";
import { version } from "../../version.ts";
import { banner } from "./banner.ts";
import { ListenError } from "./open-port.ts";
import { Reload } from "./reload.ts";
import { runCache } from "./running-cache.ts";

interface ServeOptions {
  readonly config?: string;
  readonly listen?: string;
  readonly admin?: string;
  readonly data?: string;
  readonly logFormat?: "json" | "text";
  readonly logLevel: string;
}

const LEVELS = ["debug", "info", "warn", "error"];

export function serveCommand(): Command {
  return new Command("serve")
    .description("run the cache")
    .option("--config <file>", "the configuration, entrepot.yaml (ENTREPOT_CONFIG)")
    .option("--listen <address>", "where nodes ask, 0.0.0.0:5000 unless set (ENTREPOT_LISTEN)")
    .option("--admin <address>", "where metrics are, 127.0.0.1:5001 unless set (ENTREPOT_ADMIN)")
    .option(
      "--data <folder>",
      "where content is kept, /var/lib/entrepot unless set (ENTREPOT_DATA)",
    )
    .addOption(
      new Option("--log-format <format>", "text on a terminal, else json").choices([
        "json",
        "text",
      ]),
    )
    .addOption(
      new Option("--log-level <level>", "the least that is logged").choices(LEVELS).default("info"),
    )
    .action(async (options: ServeOptions) => {
      process.exitCode = await serve(options);
    });
}

async function serve(options: ServeOptions): Promise<number> {
  const isTerminal = process.stdout.isTTY;
  const format = options.logFormat ?? (isTerminal ? "text" : "json");
  try {
    const log = createLog({ format, level: options.logLevel });
    const reload = new Reload({ load: { flags: options, env: process.env }, log });
    const { settings } = reload;
    for (const line of settings.unsupported ?? []) {
      process.stderr.write(`entrepot: unsupported setting ignored: ${line}\n`);
    }
    const ending = signalled();
    const running = await runCache(settings, log, (name) => reload.credentials(name));
    reload.onChange((changed) => running.reconfigure(changed));
    process.on("SIGHUP", () => reload.now());
    if (isTerminal) console.log(`${banner(version, settings, running.listening)}\n`);
    log.info({ ...running.listening, version, data: settings.dataDirectory }, "listening");
    log.flush();
    const signal = await ending;
    log.info({ signal }, "stopping: finishing what is under way; a second signal ends at once");
    reload.close();
    await running.close();
    log.info("stopped");
    log.flush();
    return 0;
  } catch (error) {
    if (error instanceof ConfigError) return complain(error, 2);
    const isExpected =
      error instanceof Fault ||
      error instanceof DataDirectoryError ||
      error instanceof MetadataError ||
      error instanceof ListenError;
    if (isExpected) return complain(error, 1);
    throw error;
  }
}

function complain(error: Error, code: number): number {
  process.stderr.write(`entrepot: ${error.message}\n`);
  return code;
}

/** The first signal to end; a second one is not waited upon. */
function signalled(): Promise<NodeJS.Signals> {
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
