import type { Command } from "commander";
import { z } from "zod";
import { formatSize } from "../../config/parsing/units.ts";
import { counted } from "../table.ts";
import { reachText, replicasSchema } from "./replica-reach.ts";
import {
  CommandError,
  onRunning,
  print,
  printJson,
  storeCommand,
  type StoreOptions,
} from "./store-connection.ts";

const purgedSchema = z.object({
  images: z.array(z.string()),
  blobs: z.number(),
  bytes: z.number(),
  shared: z.number(),
  busy: z.number(),
  replicas: replicasSchema,
});
type Purged = z.infer<typeof purgedSchema>;
/** The images are sent before they are removed, so an error comes after them. */
const responseSchema = z.union([purgedSchema, z.object({ error: z.string() })]);

interface PurgeOptions extends StoreOptions {
  readonly dryRun?: boolean;
}

export function purgeCommand(): Command {
  return storeCommand("purge", "remove images, and the blobs that no other image uses")
    .argument("<pattern>", "docker.io/library/nginx:1.29, or with * for any characters")
    .option("--dry-run", "only show what would be removed")
    .action(async (pattern: string, options: PurgeOptions) => {
      process.exitCode = await runPurge(pattern, options);
    });
}

function runPurge(pattern: string, options: PurgeOptions): Promise<number> {
  const { dryRun = false, json } = options;
  return onRunning(options, async (client) => {
    const purged = await client.post("purge", { pattern, dryRun }, responseSchema);
    if ("error" in purged) throw new CommandError(`the purge is not complete: ${purged.error}`);
    if (json) printJson({ ...purged, dryRun });
    else print(purgeText(purged, dryRun));
    return 0;
  });
}

function purgeText(
  { images, blobs, bytes, shared, busy, replicas }: Purged,
  dryRun: boolean,
): string {
  const removed = dryRun ? "Would remove" : "Removed";
  const lines = [
    ...images.map((image) => `${removed} ${image}`),
    `${removed} ${counted(blobs, "blob")}, ${formatSize(bytes)}.`,
  ];
  if (shared > 0) {
    const stay = shared === 1 ? "stays: other images use it" : "stay: other images use them";
    lines.push(`${counted(shared, "blob")} ${stay}.`);
  }
  if (busy > 0) {
    const [are, stay] = busy === 1 ? ["is", "stays"] : ["are", "stay"];
    lines.push(
      `${counted(busy, "blob")} ${are} being downloaded or read, and ${stay} until evicted like any other.`,
    );
  }
  return [...lines, ...reachText("Purged", replicas)].join("\n");
}
