import type { Command } from "commander";
import { z } from "zod";
import { formatSize } from "../../config/parsing/units.ts";
import { counted } from "../table.ts";
import { runSharedGc } from "./shared-store.ts";
import { onStore, print, printJson, storeCommand, type StoreOptions } from "./store-connection.ts";

const evictedSchema = z.object({ blobs: z.number(), bytes: z.number() });

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
        ? await connection.client.post("gc", { dryRun }, evictedSchema)
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
