import type { Command } from "commander";
import { z } from "zod";
import { formatSize } from "../../config/parsing/units.ts";
import {
  CommandError,
  onStore,
  type StoreOptions,
  print,
  printJson,
  storeCommand,
} from "./store-connection.ts";
import { counted } from "../table.ts";

const form = z.object({
  images: z.array(z.string()),
  blobs: z.number(),
  bytes: z.number(),
  shared: z.number(),
  busy: z.number(),
});

interface Options extends StoreOptions {
  readonly dryRun?: boolean;
}

export function purgeCommand(): Command {
  return storeCommand("purge", "forget images, and what they alone hold")
    .argument("<pattern>", "docker.io/library/nginx:1.29, or with * for any characters")
    .option("--dry-run", "only tell what would go")
    .action(async (pattern: string, options: Options) => {
      process.exitCode = await purge(pattern, options);
    });
}

function purge(pattern: string, options: Options): Promise<number> {
  const { dryRun = false, json } = options;
  return onStore(
    options,
    async (reached) => {
      if (reached.kind !== "running") throw new CommandError("the cache does not run");
      const purged = await reached.client.post("purge", { pattern, dryRun }, form);
      if (json) {
        printJson({ ...purged, dryRun });
        return 0;
      }
      for (const image of purged.images) print(`${dryRun ? "Would forget" : "Forgot"} ${image}`);
      print(`${counted(purged.blobs, "content")}, ${formatSize(purged.bytes)}.`);
      if (purged.shared > 0) {
        const stay =
          purged.shared === 1 ? "stays: other images hold it" : "stay: other images hold them";
        print(`${counted(purged.shared, "content")} ${stay}.`);
      }
      if (purged.busy > 0) {
        const are = purged.busy === 1 ? "is" : "are";
        const what = `${are} being fetched or read at this moment, and ${are} left alone`;
        print(`${counted(purged.busy, "content")} ${what}: without an image, evicted in turn.`);
      }
      return 0;
    },
    { needsRunning: true },
  );
}
