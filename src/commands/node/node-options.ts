import { CacheClient, CacheFault, parseCacheUrl } from "../../node/cache-client.ts";
import { ContainerdRuntime } from "../../node/containerd/containerd-runtime.ts";
import { DEFAULT_STATE_DIRECTORY, JournalError } from "../../node/journal.ts";
import { LockedError } from "../../node/files/lock.ts";
import { FilesFault, NodeFiles } from "../../node/files/node-files.ts";
import type { DesiredState } from "../../node/plan.ts";
import { RuntimeFault } from "../../node/runtime.ts";
import { NodeContext } from "../../node/node-context.ts";
import { parseUpstreamName } from "../../oci/names.ts";

/** Options of every `entrepot node` command. */
export interface NodeOptions {
  readonly root?: string;
  readonly socket?: string;
  readonly containerdConfig?: string;
  readonly containerdVersion?: string;
  readonly stateDir?: string;
  readonly restartCommand?: string;
  readonly json?: true;
}

/** Options of the commands that say how a node shall be wired. */
export interface DesiredStateOptions extends NodeOptions {
  readonly cache: string;
  readonly ca?: string;
  readonly upstream?: readonly string[];
  readonly all?: true;
  readonly default?: true;
  readonly adopt?: true;
  readonly replace?: true;
  readonly dialTimeout: string;
}

/** The command line cannot be meant so: exit code 2. */
export class WrongUse extends Error {
  override readonly name = "WrongUse";
}

export function openNode(options: NodeOptions): NodeContext {
  const filesOnly = options.root !== undefined;
  const files = new NodeFiles(options.root ?? "/");
  if (filesOnly && !files.isDirectory("/"))
    throw new WrongUse(`--root ${options.root} is no folder`);
  const runtime = new ContainerdRuntime({
    files,
    filesOnly,
    ...(options.socket === undefined ? {} : { socket: options.socket }),
    ...(options.containerdConfig === undefined ? {} : { config: options.containerdConfig }),
    ...(options.containerdVersion === undefined ? {} : { version: options.containerdVersion }),
    ...(options.restartCommand === undefined ? {} : { restartCommand: options.restartCommand }),
  });
  const stateDirectory = options.stateDir ?? DEFAULT_STATE_DIRECTORY;
  return new NodeContext({ files, runtime, stateDirectory, filesOnly });
}

/** @throws WrongUse where the URL cannot be a cache's. */
export function openCache(text: string, ca: string | undefined): CacheClient {
  const parsed = parseCacheUrl(text);
  if ("problem" in parsed) throw new WrongUse(`--cache ${text} ${parsed.problem}`);
  if (ca !== undefined && parsed.url.startsWith("http://")) {
    throw new WrongUse(`--ca goes with an https:// cache: with http:// containerd tries TLS first`);
  }
  return new CacheClient(parsed.url, ca);
}

/** What is asked for, with the namespaces that the cache serves where none are named. */
export async function desiredState(
  context: NodeContext,
  cache: CacheClient,
  options: DesiredStateOptions,
): Promise<{ desired: DesiredState; all: boolean }> {
  if (options.all && options.upstream)
    throw new WrongUse("--all and --upstream exclude each other");
  if (!/^(?:\d+(?:\.\d+)?(?:ms|s|m))+$/.test(options.dialTimeout)) {
    throw new WrongUse(`--dial-timeout ${options.dialTimeout} is no duration: write 1s or 500ms`);
  }
  const named = (options.upstream ?? []).map((name) => {
    const parsed = parseUpstreamName(name);
    if (parsed) return parsed;
    throw new WrongUse(`--upstream ${name} is no registry: write its host alone, such as ghcr.io`);
  });
  // In an image the cache is often out of reach, and nothing will be proved: names are enough.
  const served = context.filesOnly && named.length > 0 ? named : await cache.namespaces();
  if (served.length === 0 && !options.default) {
    throw new CacheFault("unwell", `${cache.url} serves no registry: there is nothing to wire`);
  }
  const missing = named.find((name) => !served.includes(name));
  if (missing !== undefined) {
    throw new WrongUse(
      `--upstream ${missing} is not cached there. Cached are: ${served.join(", ")}`,
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
  return { desired, all: named.length === 0 };
}

/** Runs a command's work; what is known to go wrong becomes one line and an exit code. */
export async function run(json: true | undefined, work: () => Promise<number>): Promise<void> {
  try {
    process.exitCode = await work();
  } catch (error) {
    if (!isExpected(error)) throw error;
    const kind = "kind" in error ? error.kind : error.name;
    if (json) console.log(JSON.stringify({ error: { kind, message: error.message } }));
    process.stderr.write(`entrepot: ${error.message}\n`);
    process.exitCode = error instanceof WrongUse ? 2 : 1;
  }
}

function isExpected(error: unknown): error is Error {
  return (
    error instanceof WrongUse ||
    error instanceof CacheFault ||
    error instanceof RuntimeFault ||
    error instanceof FilesFault ||
    error instanceof LockedError ||
    error instanceof JournalError
  );
}
