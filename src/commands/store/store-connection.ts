import { existsSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { z } from "zod";
import { type Storage, openStorage } from "../../cache/retention/storage.ts";
import { AdoptionError } from "../../cache/retention/registry-v2-layout.ts";
import { RefusedError } from "../../cache/retention/refused-error.ts";
import { type LoadedSettings, loadSettings } from "../../config/load.ts";
import { ConfigError } from "../../config/parsing/problems.ts";
import { Fault } from "../../oci/fault.ts";
import { DataDirectoryError } from "../../store/disk/data-directory.ts";
import { LockedError } from "../../store/disk/lock.ts";
import { MetadataError } from "../../store/sql/open-metadata.ts";
import { rebuildMetadata } from "../../store/repair/rebuild-metadata.ts";
import { reconcile } from "../../store/repair/reconcile.ts";
import { AdminClient, AdminError } from "./admin-client.ts";

/** Where a command's cache is, as `serve` was told. */
export interface StoreOptions {
  readonly config?: string;
  readonly admin?: string;
  readonly data?: string;
  readonly json?: boolean;
}

/** A cache that runs, or the folder of one that does not. */
export type StoreConnection =
  | { readonly kind: "running"; readonly client: AdminClient }
  | { readonly kind: "stopped"; readonly storage: Storage };

/** Something that keeps a command from what it was asked for. The message says what to do. */
export class CommandError extends Error {
  override readonly name = "CommandError";
}

/** A command that works on a cache: with the options that find it. */
export function storeCommand(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .option("--config <file>", "the configuration that the cache runs with (ENTREPOT_CONFIG)")
    .option("--admin <address>", "its admin port, 127.0.0.1:5001 unless set (ENTREPOT_ADMIN)")
    .option("--data <folder>", "its folder, for one that is stopped (ENTREPOT_DATA)")
    .option("--json", "print facts as JSON");
}

const whose = z.object({ dataDirectory: z.string() });

/**
 * Runs a command's work on the cache that its options mean, and tells what is wrong. Returns the
 * exit code: 1 where something is, 2 for wrong use.
 */
export async function onStore(
  options: StoreOptions,
  work: (reached: StoreConnection, settings: LoadedSettings) => Promise<number>,
  mode: {
    readonly needsRunning?: boolean;
    /** It may make a store where there is none, unless this throws. */
    readonly mayCreate?: (settings: LoadedSettings) => Promise<void>;
  } = {},
): Promise<number> {
  try {
    const settings = loadSettings({ flags: options, env: process.env });
    const client = new AdminClient(settings);
    if (await isRunning(client, settings, options)) {
      return await work({ kind: "running", client }, settings);
    }
    if (mode.needsRunning) {
      const message = `no cache answers at ${client.url}: start it with entrepot serve, or name its --admin or --config`;
      throw new CommandError(message);
    }
    await mode.mayCreate?.(settings);
    await using storage = await openStopped(settings, client, mode.mayCreate !== undefined);
    return await work({ kind: "stopped", storage }, settings);
  } catch (error) {
    return complain(error);
  }
}

/** Whether it runs on the folder that is meant; with `--data` alone, the port may be another one's. */
async function isRunning(
  client: AdminClient,
  settings: LoadedSettings,
  options: StoreOptions,
): Promise<boolean> {
  try {
    const { dataDirectory } = await client.get("storage", whose);
    return options.data === undefined || dataDirectory === settings.dataDirectory;
  } catch (error) {
    if (error instanceof AdminError && error.status !== 404) throw error;
    return false;
  }
}

async function openStopped(
  settings: LoadedSettings,
  client: AdminClient,
  mayCreate: boolean,
): Promise<Storage> {
  if (!mayCreate && !existsSync(settings.dataDirectory)) {
    const message = `no cache answers at ${client.url}, and ${settings.dataDirectory} does not exist: name its --config, --admin or --data`;
    throw new CommandError(message);
  }
  // Nothing is to be made where somebody only wanted to look, and mistook the folder.
  if (!mayCreate && !existsSync(join(settings.dataDirectory, "format"))) {
    const message = `no cache answers at ${client.url}, and ${settings.dataDirectory} is no cache's folder: name its --config, --admin or --data`;
    throw new CommandError(message);
  }
  try {
    const storage = await openStorage(settings, {
      fullStateChanged: () => {},
      removed: () => {},
      accessTimesNotWritten: () => {},
      failed: () => {},
      metadataDamaged: (path, reason) => {
        process.stderr.write(`entrepot: ${reason}\nIt is now ${path}, and is made again.\n`);
      },
    });
    await makeWhole(storage);
    return storage;
  } catch (error) {
    if (error instanceof DataDirectoryError && error.kind === "locked") {
      const who = holderOf(error);
      const message = `${settings.dataDirectory} is in use by ${who}, and no cache answers at ${client.url}: name the --admin or --config of the one that runs, or wait where it is a command such as fsck`;
      throw new CommandError(message, { cause: error });
    }
    throw error;
  }
}

function holderOf({ cause }: DataDirectoryError): string {
  const isKnown = cause instanceof LockedError && cause.holder !== undefined;
  return isKnown ? `process ${cause.holder}` : "another process";
}

/** An index that was begun anew, now or by a process that was killed, has its facts before anybody asks. */
async function makeWhole({
  blobs: plain,
  metadata,
  sidecars,
  rebuildState: rebuild,
  admin,
}: Storage): Promise<void> {
  const { started: begun } = rebuild;
  if (rebuild.finished === begun) return;
  const store = { store: plain, metadata, sidecars };
  await rebuildMetadata(store);
  await reconcile({ ...store, inUse: () => false });
  rebuild.end(begun);
  admin.metadataRebuilt();
  await admin.recount();
}

function complain(error: unknown): number {
  const isExpected =
    error instanceof ConfigError ||
    error instanceof CommandError ||
    error instanceof AdminError ||
    error instanceof AdoptionError ||
    error instanceof RefusedError ||
    error instanceof DataDirectoryError ||
    error instanceof MetadataError ||
    error instanceof Fault;
  if (!isExpected) throw error;
  process.stderr.write(`entrepot: ${error.message}\n`);
  if (error instanceof ConfigError) return 2;
  if (error instanceof RefusedError) return error.kind === "invalid-argument" ? 2 : 1;
  return error instanceof AdminError && error.status === 400 ? 2 : 1;
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, undefined, 2));
}
