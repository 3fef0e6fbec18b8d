import { existsSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { RefusedError } from "../../cache/retention/refused-error.ts";
import { AdoptionError } from "../../cache/adoption/registry-v2-layout.ts";
import { openStorage, type Storage } from "../../cache/retention/storage.ts";
import type { LoadedSettings } from "../../config/load.ts";
import { ConfigError } from "../../config/parsing/problems.ts";
import { printableJson, printableLines } from "../../printable.ts";
import { Fault } from "../../oci/fault.ts";
import { DataDirectoryError } from "../../store/directory/data-directory.ts";
import { LockedError } from "../../store/directory/lock.ts";
import { rebuildMetadata } from "../../store/repair/rebuild-metadata.ts";
import { reconcile } from "../../store/repair/reconcile.ts";
import { MetadataError } from "../../store/sql/open-metadata.ts";
import { AdminClient, AdminError } from "../api/admin-client.ts";
import { InterruptedError } from "../interrupted.ts";
import { findCache } from "../connection/find-cache.ts";

/** The options that find a cache, as `serve` has them. */
export interface StoreOptions {
  readonly config?: string;
  readonly admin?: string;
  readonly ca?: string;
  readonly data?: string;
  readonly json?: boolean;
}

/** A running cache, or the data directory of a stopped one. */
export type StoreConnection =
  | { readonly kind: "running"; readonly client: AdminClient }
  | { readonly kind: "stopped"; readonly storage: Storage };

/** A command cannot do its work. The message says what to do. */
export class CommandError extends Error {
  override readonly name = "CommandError";
}

/** A command that works on a cache, with the options that find it. */
export function storeCommand(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .option("--config <file>", "configuration of the cache (ENTREPOT_CONFIG)")
    .option(
      "--admin <address>",
      "admin address of the cache, with https:// if it speaks TLS (default: 127.0.0.1:5001; ENTREPOT_ADMIN)",
    )
    .option("--ca <file>", "CA of the admin address's certificate (ENTREPOT_ADMIN_CA)")
    .option("--data <dir>", "data directory of the cache (ENTREPOT_DATA)")
    .option("--json", "print JSON");
}

/**
 * Runs a command on a running cache, and prints its error if it fails.
 *
 * @returns the exit code: 1 for a problem, 2 for an invalid command line
 */
export async function onRunning(
  options: StoreOptions,
  work: (client: AdminClient) => Promise<number>,
  advice = "start it with entrepot serve, or give its --admin or --config",
): Promise<number> {
  try {
    const { settings, endpoint, reread } = findCache(options);
    const client = new AdminClient(endpoint, reread);
    const running = await runningDirectory(client);
    if (isMeant(running, settings, options)) return await work(client);
    if (running !== undefined) {
      const wanted = `--data names ${settings.dataDirectory}`;
      throw new CommandError(
        `the cache at ${client.url} has its data in ${running}, but ${wanted}: give the --admin of the other one, or leave out --data`,
      );
    }
    throw new CommandError(`no cache responds at ${client.url}: ${advice}`);
  } catch (error) {
    return printError(error);
  }
}

/**
 * Runs a command on a running cache or on the data directory of a stopped one, and prints its error
 * if it fails.
 *
 * @param mode.mayCreate lets the command create the data directory, unless this rejects
 * @returns the exit code: 1 for a problem, 2 for an invalid command line
 */
export async function onStore(
  options: StoreOptions,
  work: (connection: StoreConnection, settings: LoadedSettings) => Promise<number>,
  mode: { readonly mayCreate?: (settings: LoadedSettings) => Promise<void> } = {},
): Promise<number> {
  try {
    const { settings, endpoint, reread } = findCache(options);
    const client = new AdminClient(endpoint, reread);
    if (isMeant(await runningDirectory(client), settings, options)) {
      return await work({ kind: "running", client }, settings);
    }
    await mode.mayCreate?.(settings);
    await using storage = await openStopped(settings, client, mode.mayCreate !== undefined);
    return await work({ kind: "stopped", storage }, settings);
  } catch (error) {
    return printError(error);
  }
}

/** The data directory of the cache that responds. Undefined if none does. */
async function runningDirectory(client: AdminClient): Promise<string | undefined> {
  try {
    return (await client.ask(client.api.GET("/storage"))).dataDirectory;
  } catch (error) {
    if (error instanceof AdminError && error.status !== 404) throw error;
    const reason = tlsReason(error);
    if (reason === undefined) return undefined;
    throw new CommandError(`${client.url} cannot be reached: ${reason}`);
  }
}

/** What is wrong with TLS, if it is that why no cache responds, and what to do. */
function tlsReason(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const code = "code" in error ? String(error.code) : "";
  switch (code) {
    case "ECONNRESET":
      return "it closed the connection: if it speaks TLS, write --admin https://…";
    case "EPROTO":
      return "the TLS handshake failed: if it speaks plain HTTP, write --admin http://…";
    case "ERR_TLS_CERT_ALTNAME_INVALID":
      return "its certificate is for another name: write --admin with a name that it has";
    default:
      return /CERT|SIGNATURE|ISSUER/.test(code)
        ? `its certificate is not trusted (${error.message}): is its CA missing (--ca)?`
        : undefined;
  }
}

/** Whether a cache is the one that the options mean: with `--data` alone, another one may respond. */
function isMeant(
  running: string | undefined,
  settings: LoadedSettings,
  options: StoreOptions,
): boolean {
  return (
    running !== undefined && (options.data === undefined || running === settings.dataDirectory)
  );
}

async function openStopped(
  settings: LoadedSettings,
  client: AdminClient,
  mayCreate: boolean,
): Promise<Storage> {
  if (!mayCreate) requireDataDirectory(settings.dataDirectory, client);
  try {
    const storage = await openStorage(settings, {
      fullStateChanged: () => {},
      fewInodes: () => {},
      removed: () => {},
      unreadable: () => {},
      accessTimesNotWritten: () => {},
      limitMet: () => {},
      recordsLeft: () => {},
      failed: (task, error) => {
        const reason = error instanceof Error ? error.message : String(error);
        process.stderr.write(`entrepot: ${task} failed: ${printableLines(reason)}\n`);
      },
      metadataDamaged: (path, reason) => {
        process.stderr.write(`entrepot: ${reason}\nIt was moved to ${path} and is rebuilt.\n`);
      },
    });
    await finishRebuild(storage);
    await storage.sidecars.count();
    return storage;
  } catch (error) {
    if (error instanceof DataDirectoryError && error.kind === "locked") {
      const message = `${settings.dataDirectory} is in use by ${holderOf(error)}, and no cache responds at ${client.url}: give the --admin or --config of the running cache, or wait if it is a command such as fsck`;
      throw new CommandError(message, { cause: error });
    }
    throw error;
  }
}

/**
 * Nothing must be created by a command that only reads, if the operator gave the wrong directory.
 *
 * @throws CommandError
 */
function requireDataDirectory(path: string, client: AdminClient): void {
  const exists = existsSync(path);
  if (exists && existsSync(join(path, "format"))) return;
  const problem = exists ? "is not the data directory of a cache" : "does not exist";
  const message = `no cache responds at ${client.url}, and ${path} ${problem}: give its --config, --admin or --data`;
  throw new CommandError(message);
}

function holderOf({ cause }: DataDirectoryError): string {
  const isKnown = cause instanceof LockedError && cause.holder !== undefined;
  return isKnown ? `process ${cause.holder}` : "another process";
}

/** Rebuilds metadata that was damaged, now or before a process that did not finish the rebuild. */
async function finishRebuild({
  blobs,
  metadata,
  sidecars,
  rebuildState,
  admin,
}: Storage): Promise<void> {
  const { started } = rebuildState;
  if (rebuildState.finished === started) return;
  const store = { store: blobs, metadata, sidecars };
  await rebuildMetadata(store);
  await reconcile({ ...store, inUse: () => false });
  rebuildState.end(started);
  admin.metadataRebuilt();
  await admin.recount();
}

/**
 * Prints an expected error, and returns the exit code.
 *
 * @throws any other error
 */
export function printError(error: unknown): number {
  const isExpected =
    error instanceof InterruptedError ||
    error instanceof ConfigError ||
    error instanceof CommandError ||
    error instanceof AdminError ||
    error instanceof AdoptionError ||
    error instanceof RefusedError ||
    error instanceof DataDirectoryError ||
    error instanceof MetadataError ||
    error instanceof Fault;
  if (!isExpected) throw error;
  process.stderr.write(`entrepot: ${printableLines(error.message)}\n`);
  if (error instanceof InterruptedError) return error.exitCode;
  if (error instanceof ConfigError) return 2;
  if (error instanceof RefusedError) return error.kind === "invalid-argument" ? 2 : 1;
  return error instanceof AdminError && error.status === 400 ? 2 : 1;
}

/** In characters. */
const PRINTED_AT_ONCE = 64 * 1024;

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function printJson(value: unknown): void {
  print(printableJson(value));
}

/** Prints many lines, and waits for whoever reads them, so that they are not in memory as a whole. */
export async function printLines(lines: Iterable<string>): Promise<void> {
  let text = "";
  const flush = async (): Promise<void> => {
    const printed = Promise.withResolvers<void>();
    // An error is that of a closed pipe, which ends the process elsewhere.
    process.stdout.write(text, () => printed.resolve());
    text = "";
    await printed.promise;
  };
  for (const line of lines) {
    text += `${line}\n`;
    if (text.length >= PRINTED_AT_ONCE) await flush();
  }
  if (text !== "") await flush();
}
