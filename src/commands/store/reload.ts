import type { Command } from "commander";
import { loadSettings } from "../../config/load.ts";
import { ConfigError, formatProblem } from "../../config/parsing/problems.ts";
import { printableLines } from "../../printable.ts";
import {
  onRunning,
  print,
  printJson,
  storeCommand,
  type StoreOptions,
} from "./store-connection.ts";

export function reloadCommand(): Command {
  return storeCommand(
    "reload",
    "have a running cache read its configuration again; exit code 1 if that is not valid",
  ).action(async (options: StoreOptions) => {
    process.exitCode = await runReload(options);
  });
}

async function runReload(options: StoreOptions): Promise<number> {
  const invalid = problemsOfFile(options);
  if (invalid.length > 0) {
    if (options.json) printJson({ changes: [], needsRestart: [], problems: invalid });
    else {
      process.stderr.write(
        `entrepot: the configuration is not valid; a cache that runs keeps the previous one\n${printableLines(invalid.join("\n"))}\n`,
      );
    }
    return 1;
  }
  const work: Parameters<typeof onRunning>[1] = async (client) => {
    const reload = await client.order(client.api.POST("/reload"));
    const { changes, needsRestart, problems } = reload;
    if (options.json) printJson(reload);
    else if (problems.length > 0) {
      process.stderr.write(
        `entrepot: the configuration is rejected, and the previous one stays in use\n${printableLines(problems.join("\n"))}\n`,
      );
    } else {
      if (changes.length > 0) print(["In use now:", ...changes].join("\n  "));
      if (needsRestart.length > 0) print(["Needs a restart:", ...needsRestart].join("\n  "));
      if (changes.length + needsRestart.length === 0) {
        print("The cache runs with this configuration already.");
      }
    }
    return problems.length > 0 ? 1 : 0;
  };
  const advice = "start it, give its --admin, or restart it if `admin` has changed";
  return onRunning(options, work, advice);
}

/** What is wrong in the file that says where the cache is. A wrong command line is for onRunning to tell. */
function problemsOfFile(options: StoreOptions): string[] {
  try {
    loadSettings({ flags: options, env: process.env });
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const isOfFile = error.problems.some(({ file }) => file !== undefined);
    return isOfFile ? error.problems.map(formatProblem) : [];
  }
}
