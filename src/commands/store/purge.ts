import type { Command } from "commander";
import { type Purged, purgedSchema } from "../../api/purge.ts";
import { formatSize } from "../../config/parsing/units.ts";
import { counted } from "../table.ts";
import type { AdminClient } from "../api/admin-client.ts";
import { runJob } from "../api/run-job.ts";
import { reachText, sharedStoreText, UNANSWERED } from "./replica-reach.ts";
import {
  onRunning,
  print,
  printJson,
  storeCommand,
  type StoreOptions,
} from "./store-connection.ts";

interface PurgeOptions extends StoreOptions {
  readonly dryRun?: boolean;
}

export function purgeCommand(): Command {
  return storeCommand("purge", "remove images, and the blobs that no other image uses")
    .argument("<pattern>", "docker.io/library/nginx:1.29, or with * for any characters")
    .option("--dry-run", "only show what would be removed, at all replicas")
    .action(async (pattern: string, options: PurgeOptions) => {
      process.exitCode = await runPurge(pattern, options);
    });
}

function runPurge(pattern: string, options: PurgeOptions): Promise<number> {
  const { dryRun = false, json } = options;
  return onRunning(options, async (client) => {
    const purged = await (dryRun ? preview(client, pattern) : purge(client, pattern));
    if (json) printJson({ ...purged, dryRun });
    else print(purgeText(purged, dryRun));
    return 0;
  });
}

function preview(client: AdminClient, pattern: string): Promise<Purged> {
  return client.ask(client.api.GET("/purge", { params: { query: { pattern } } }));
}

function purge(client: AdminClient, pattern: string): Promise<Purged> {
  return runJob(client, client.api.POST("/purge", { body: { pattern } }), purgedSchema);
}

function purgeText(
  { images, count, blobs, bytes, shared, busy, replicas }: Purged,
  dryRun: boolean,
): string {
  const removed = dryRun ? "Would remove" : "Removed";
  const lines = [
    ...images.map((image) => `${removed} ${image}`),
    ...(count > images.length
      ? [`${removed} ${counted(count - images.length, "more image")}.`]
      : []),
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
  const reach = dryRun
    ? reachText("Would purge", replicas, UNANSWERED)
    : reachText("Purged", replicas);
  return [...lines, ...reach, ...sharedStoreText(replicas)].join("\n");
}
