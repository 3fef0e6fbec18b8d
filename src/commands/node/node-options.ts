import { CacheClient, CacheFault } from "../../node/cache-client.ts";
import { parseCacheUrl } from "../../node/cache-url.ts";
import { JournalError } from "../../node/journal.ts";
import { hideUserinfo } from "../../node/files/hidden-secrets.ts";
import { LockedError } from "../../node/files/lock.ts";
import { FilesFault } from "../../node/files/node-files.ts";
import type { DesiredState } from "../../node/plan.ts";
import { RuntimeFault } from "../../node/runtime.ts";
import type { NodeContext } from "../../node/node-context.ts";
import { usageErrorCode } from "../usage-error.ts";
import { printable, printableLines } from "../../printable.ts";
import { parseUpstreamName } from "../../oci/names.ts";

/** The options of every `entrepot node` command. */
export interface NodeOptions {
  readonly root?: string;
  /** Whether the node below `root` is running. */
  readonly live?: true;
  readonly runtime?: string;
  readonly socket?: string;
  readonly containerdConfig?: string;
  readonly containerdVersion?: string;
  readonly containerdBinary?: string;
  readonly stateDir?: string;
  readonly restartCommand?: string;
  readonly json?: true;
}

/** The options of the commands that take a desired state: plan and apply. */
export interface DesiredStateOptions extends NodeOptions {
  readonly cache: string;
  readonly ca?: string;
  readonly upstream?: readonly string[];
  readonly all?: true;
  readonly default?: true;
  readonly adopt?: true;
  /** Undefined: as in the earlier apply. */
  readonly replace?: boolean;
  readonly dialTimeout: string;
}

/** The command line is invalid: exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** The user may not do what the command does. */
export class NotRootError extends Error {
  override readonly name = "NotRootError";
  readonly kind = "not-root";
}

/**
 * Requires root for the node itself: it is said first, and not after the cache was asked. Files below
 * another root directory may be those of any user.
 *
 * @throws NotRootError
 */
export function requireRoot(
  { root }: Pick<NodeOptions, "root">,
  command: "apply" | "rollback" | "watch",
  uid = process.geteuid?.(),
): void {
  if (root !== undefined || uid === 0) return;
  const what = `entrepot node ${command} changes files that belong to root`;
  throw new NotRootError(`${what}: run it as root (sudo entrepot node ${command} …)`);
}

/**
 * @param ca PEM of the CA of the cache's certificate
 * @throws UsageError if the URL is not valid for a cache.
 */
export function openCache(text: string, ca: string | undefined): CacheClient {
  const parsed = parseCacheUrl(text);
  if ("problem" in parsed) throw new UsageError(`--cache ${text} ${parsed.problem}`);
  if (ca !== undefined && parsed.url.startsWith("http://")) {
    throw new UsageError(
      "--ca needs an https:// cache: for an http:// host that has a CA, containerd tries TLS first",
    );
  }
  return new CacheClient(parsed.url, ca);
}

/**
 * The desired state that the options describe. Without `--upstream`, it has all namespaces of the cache.
 *
 * @throws UsageError, CacheFault
 */
export async function desiredState(
  filesOnly: boolean,
  cache: CacheClient,
  options: DesiredStateOptions,
): Promise<{ desired: DesiredState; all: boolean; asking: readonly string[] }> {
  if (options.all && options.upstream)
    throw new UsageError("--all and --upstream cannot be used together");
  if (!/^(?:\d+(?:\.\d+)?(?:ms|s|m))+$/.test(options.dialTimeout)) {
    throw new UsageError(
      `--dial-timeout ${options.dialTimeout} is not a valid duration: write 1s or 500ms`,
    );
  }
  const named = (options.upstream ?? []).map((name) => {
    const parsed = parseUpstreamName(name);
    if (parsed) return parsed;
    throw new UsageError(
      `--upstream ${name} is not a valid registry: write only its host, such as ghcr.io`,
    );
  });
  // Where an image is built, the cache is often unreachable, and nothing is proven: names are enough.
  const { names: served, asking } =
    filesOnly && named.length > 0 ? { names: named, asking: [] } : await cache.registries();
  if (served.length === 0 && !options.default) {
    throw new CacheFault("unhealthy", `${cache.url} serves no registry: there is nothing to wire`);
  }
  const missing = named.find((name) => !served.includes(name));
  if (missing !== undefined) {
    throw new UsageError(
      `--upstream ${missing} is not served by ${cache.url}. It serves: ${served.join(", ")}`,
    );
  }
  const desired: DesiredState = {
    cache: cache.url,
    ...(cache.ca === undefined ? {} : { cacheCa: cache.ca }),
    namespaces: named.length > 0 ? named : served,
    useDefault: options.default === true,
    adopt: options.adopt === true,
    replace: options.replace === true,
    dialTimeout: options.dialTimeout,
  };
  return { desired, all: named.length === 0, asking };
}

/** A desired state as one runtime can have it. */
export interface Narrowed {
  readonly desired: DesiredState;
  readonly notes: readonly string[];
}

/**
 * An apply without `--replace` after one with it would put the mirrors back that the first one dropped.
 *
 * @throws JournalError, FilesFault
 */
export function remembered(
  context: NodeContext,
  desired: DesiredState,
  { replace }: DesiredStateOptions,
): Narrowed {
  const earlier = context.ownJournal(context.runtime.main)?.desired;
  if (replace !== undefined || earlier?.replace !== true) return { desired, notes: [] };
  const note = "--replace of the earlier apply still holds (--no-replace brings its mirrors back)";
  return { desired: { ...desired, replace: true }, notes: [note] };
}

/**
 * Leaves out the registries that a runtime cannot pull through a cache, unless they were named for this
 * runtime: then they are an obstacle of its plan.
 *
 * @throws RuntimeFault if it can do so for none of them
 */
export async function narrow(
  { runtime }: NodeContext,
  desired: DesiredState,
  isNamed: boolean,
): Promise<Narrowed> {
  if (isNamed) return { desired, notes: [] };
  const { supported, reason } = await runtime.support(desired.namespaces);
  if (reason === undefined) return { desired, notes: [] };
  const others = desired.namespaces.filter((name) => !supported.includes(name)).join(", ");
  if (supported.length === 0) {
    throw new RuntimeFault(
      "unsupported",
      `${runtime.title} cannot be wired to ${others}: ${reason}`,
    );
  }
  return {
    desired: { ...desired, namespaces: supported },
    notes: [`not wired: ${others} (${reason})`],
  };
}

/** Runs a command and sets the exit code. An expected error becomes one line on standard error. */
export async function run(json: true | undefined, work: () => Promise<number>): Promise<void> {
  try {
    process.exitCode = await work();
  } catch (error) {
    if (!isExpected(error)) throw error;
    const kind = "kind" in error ? error.kind : error.name;
    const message = hideUserinfo(error.message);
    if (json) console.log(printable(JSON.stringify({ error: { kind, message } })));
    process.stderr.write(`entrepot: ${printableLines(message)}\n`);
    process.exitCode = error instanceof UsageError ? usageErrorCode() : 1;
  }
}

export function isExpected(error: unknown): error is Error {
  return (
    error instanceof UsageError ||
    error instanceof NotRootError ||
    error instanceof CacheFault ||
    error instanceof RuntimeFault ||
    error instanceof FilesFault ||
    error instanceof LockedError ||
    error instanceof JournalError
  );
}
