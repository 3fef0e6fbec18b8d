import type { Command } from "commander";
import { type Evicted, evictedSchema } from "../../api/upkeep.ts";
import { formatSize } from "../../config/parsing/units.ts";
import { counted } from "../table.ts";
import type { AdminClient } from "../api/admin-client.ts";
import { runJob } from "../api/run-job.ts";
import { runSharedGc } from "./shared-store.ts";
import { onStore, print, printJson, storeCommand, type StoreOptions } from "./store-connection.ts";

interface GcOptions extends StoreOptions {
  readonly dryRun?: boolean;
  readonly shared?: boolean;
}

export function gcCommand(): Command {
  return storeCommand("gc", "evict what exceeds the limits now; a running cache does so by itself")
    .option("--dry-run", "only show how much would be evicted")
    .option("--shared", "evict from the store that replicas share")
    .action(async (options: GcOptions) => {
      process.exitCode = await (options.shared ? runSharedGc(options) : runGc(options));
    });
}

function runGc(options: GcOptions): Promise<number> {
  const { dryRun = false, json } = options;
  return onStore(options, async (connection) => {
    const evicted =
      connection.kind === "running"
        ? await collectRunning(connection.client, dryRun)
        : await connection.storage.admin.collect(dryRun);
    if (json) printJson({ ...evicted, dryRun });
    else if (evicted.bytes === 0) print("Nothing to evict: the store is within its limits.");
    else {
      const amount = `${counted(evicted.blobs, "blob")}, ${formatSize(evicted.bytes)}`;
      print(dryRun ? `Would evict ${amount}.` : `Evicted ${amount}.`);
    }
    return 0;
  });
}

function collectRunning(client: AdminClient, dryRun: boolean): Promise<Evicted> {
  if (dryRun) return client.ask(client.api.GET("/gc"));
  return runJob(client, client.api.POST("/gc"), evictedSchema);
}
