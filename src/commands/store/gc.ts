import type { Command } from "commander";
import { z } from "zod";
import { formatSize } from "../../config/parsing/units.ts";
import { onStore, type StoreOptions, print, printJson, storeCommand } from "./store-connection.ts";
import { counted } from "../table.ts";

const form = z.object({ blobs: z.number(), bytes: z.number() });

interface Options extends StoreOptions {
  readonly dryRun?: boolean;
}

export function gcCommand(): Command {
  return storeCommand("gc", "evict now what the bounds ask for (it happens by itself as well)")
    .option("--dry-run", "only tell what would go")
    .action(async (options: Options) => {
      process.exitCode = await gc(options);
    });
}

function gc(options: Options): Promise<number> {
  const { dryRun = false, json } = options;
  return onStore(options, async (reached) => {
    const evicted =
      reached.kind === "running"
        ? await reached.client.post("gc", { dryRun }, form)
        : await reached.storage.admin.collect(dryRun);
    if (json) printJson({ ...evicted, dryRun });
    else if (evicted.bytes === 0) print("Nothing has to go: the store is within its bounds.");
    else {
      const what = `${counted(evicted.blobs, "content")}, ${formatSize(evicted.bytes)}`;
      print(dryRun ? `Would evict ${what}.` : `Evicted ${what}.`);
    }
    return 0;
  });
}
