import type { Command } from "commander";
import { z } from "zod";
import {
  onRunning,
  print,
  printJson,
  storeCommand,
  type StoreOptions,
} from "./store-connection.ts";

const reloadSchema = z.object({
  changes: z.array(z.string()),
  needsRestart: z.array(z.string()),
  problems: z.array(z.string()),
});

export function reloadCommand(): Command {
  return storeCommand(
    "reload",
    "have a running cache read its configuration again; exit code 1 if that is not valid",
  ).action(async (options: StoreOptions) => {
    process.exitCode = await runReload(options);
  });
}

function runReload(options: StoreOptions): Promise<number> {
  const work: Parameters<typeof onRunning>[1] = async (client) => {
    const reload = await client.post("reload", {}, reloadSchema);
    const { changes, needsRestart, problems } = reload;
    if (options.json) printJson(reload);
    else if (problems.length > 0) {
      process.stderr.write(
        `entrepot: the configuration is rejected, and the previous one stays in use\n${problems.join("\n")}\n`,
      );
    } else {
      if (changes.length > 0) print(["In use now:", ...changes].join("\n  "));
      if (needsRestart.length > 0) print(["Needs a restart:", ...needsRestart].join("\n  "));
      if (changes.length + needsRestart.length === 0) print("Nothing has changed.");
    }
    return problems.length > 0 ? 1 : 0;
  };
  const advice = "start it, give its --admin, or restart it if `admin` has changed";
  return onRunning(options, work, advice);
}
