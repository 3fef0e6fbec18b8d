import { type Command, InvalidArgumentError } from "commander";
import { type Verified, verifiedSchema } from "../../api/upkeep.ts";
import type { StoreAdmin } from "../../cache/retention/store-admin.ts";
import { formatSize, parseSize } from "../../config/parsing/units.ts";
import { type Progress, ProgressLine } from "../progress.ts";
import { counted } from "../table.ts";
import type { AdminClient } from "../api/admin-client.ts";
import { filesOf, runJob } from "../api/run-job.ts";
import { runSharedFsck } from "./shared-store.ts";
import { onStore, print, printJson, storeCommand, type StoreOptions } from "./store-connection.ts";

interface FsckOptions extends StoreOptions {
  readonly repair?: boolean;
  readonly rate?: number;
  readonly shared?: boolean;
}

export function fsckCommand(): Command {
  return storeCommand("fsck", "verify every stored byte")
    .option("--repair", "quarantine corrupt blobs, which are then fetched again, and fix metadata")
    .option(
      "--rate <size>",
      "bytes to read per second, such as 50MiB (default: 100MiB for a running cache)",
      parseRate,
    )
    .option("--shared", "verify the store that replicas share, and the ledger's entries of it")
    .action(async (options: FsckOptions) => {
      process.exitCode = await (options.shared ? runSharedFsck(options) : runFsck(options));
    });
}

function parseRate(text: string): number {
  const bytes = parseSize(text);
  if (bytes !== undefined && bytes > 0) return bytes;
  throw new InvalidArgumentError("Write a size above 0, such as 50MiB.");
}

function runFsck(options: FsckOptions): Promise<number> {
  return onStore(options, async (connection) => {
    const line = new ProgressLine();
    const onProgress = (progress: Progress): void => line.show(progress);
    const isRunning = connection.kind === "running";
    const verified = isRunning
      ? await verifyRunning(connection.client, options, onProgress)
      : await verifyStopped(connection.storage.admin, options, onProgress);
    line.end();
    if (options.json) printJson(verified);
    else print(verifiedText(verified, isRunning));
    return verified.corrupt.length + verified.unreadable.length > 0 ? 1 : 0;
  });
}

async function verifyStopped(
  admin: StoreAdmin,
  { repair = false, rate }: FsckOptions,
  onProgress: (progress: Progress) => void,
): Promise<Verified> {
  const { blobs, blobBytes } = await admin.figures();
  const of = { files: blobs, bytes: blobBytes };
  const verified = await admin.verify({
    repair,
    ...(rate === undefined ? {} : { rate }),
    onProgress: ({ files, bytes }) => onProgress({ files, bytes, of }),
  });
  return verifiedSchema.parse(verified);
}

async function verifyRunning(
  client: AdminClient,
  { repair = false, rate }: FsckOptions,
  onProgress: (progress: Progress) => void,
): Promise<Verified> {
  const body = { repair, ...(rate === undefined ? {} : { rate }) };
  return runJob(client, client.api.POST("/fsck", { body }), verifiedSchema, (progress) =>
    onProgress(filesOf(progress)),
  );
}

function verifiedText(verified: Verified, isRunning: boolean): string {
  const { files, bytes, corrupt, unreadable, found, lost, repaired } = verified;
  const lines = [`Verified ${counted(files, "blob")}, ${formatSize(bytes)}.`];
  for (const digest of corrupt) lines.push(`corrupt: ${digest}`);
  for (const { digest, reason } of unreadable) lines.push(`unreadable: ${digest}: ${reason}`);
  if (corrupt.length > 0) lines.push(corruptText(corrupt.length, repaired, isRunning));
  else if (unreadable.length === 0) lines.push("All blobs match their digests.");
  if (unreadable.length > 0) lines.push(unreadableText(unreadable.length));
  if (found + lost > 0) {
    const outcome = repaired ? "repaired" : "repaired by the next start, or by --repair";
    lines.push(
      `Metadata: ${counted(found, "blob")} without a record, ${counted(lost, "record")} without a blob: ${outcome}.`,
    );
  }
  return lines.join("\n");
}

/** They may be sound, so they stay: the reason says what to mend. */
function unreadableText(count: number): string {
  const [were, they, them] =
    count === 1 ? ["was", "It stays", "it"] : ["were", "They stay", "them"];
  return `${counted(count, "blob")} could not be read, and ${were} not verified. ${they} where ${count === 1 ? "it is" : "they are"}: mend the reason, and run again. A running cache fetches ${them} from the registry meanwhile.`;
}

function corruptText(count: number, repaired: boolean, isRunning: boolean): string {
  const blobs = counted(count, "blob");
  const [was, is, it, them] =
    count === 1 ? ["was", "is", "it", "it"] : ["were", "are", "they", "them"];
  if (!repaired) {
    return `${blobs} ${is} corrupt. Run again with --repair to quarantine ${them}; ${it} ${is} then fetched again when requested.`;
  }
  const why = isRunning ? " (a running cache never serves a blob that it knows to be corrupt)" : "";
  return `${blobs} ${was} moved to quarantine/; ${it} ${is} fetched again when requested${why}.`;
}
