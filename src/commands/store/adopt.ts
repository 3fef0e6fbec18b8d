import { type Command, InvalidArgumentError } from "commander";
import { resolve } from "node:path";
import { adoptedSchema } from "../../api/adoption.ts";
import type { Adopted } from "../../cache/adoption/adopted.ts";
import { adopt } from "../../cache/adoption/adoption.ts";
import type { AdoptRequest } from "../../cache/adoption/adopted-folders.ts";
import {
  AdoptionError,
  mustBeAdoptable,
  mustBeConfigured,
} from "../../cache/adoption/registry-v2-layout.ts";
import { describeData } from "../../config/registry-data.ts";
import type { LoadedSettings } from "../../config/load.ts";
import { parseUpstreamName, type UpstreamName } from "../../oci/names.ts";
import { printable } from "../../printable.ts";
import { type Progress, ProgressLine } from "../progress.ts";
import { AdminError } from "../api/admin-client.ts";
import { adoptedText } from "./adopted-text.ts";
import { type AdoptSource, isForbidden, planSources, readSources } from "./adopt-sources.ts";
import { InterruptedError } from "../interrupted.ts";
import { filesOf, runJob } from "../api/run-job.ts";
import {
  CommandError,
  onStore,
  print,
  printError,
  printJson,
  type StoreConnection,
  storeCommand,
  type StoreOptions,
} from "./store-connection.ts";

interface AdoptOptions extends StoreOptions {
  readonly upstream?: UpstreamName;
  readonly from?: string;
  readonly shared?: true;
  readonly link?: true;
}

export function adoptCommand(): Command {
  const command = storeCommand(
    "adopt",
    "take over the data of a registry:2, such as a proxy's cache",
  )
    .argument("[folder]", "its rootdirectory, usually /var/lib/registry; it is not changed")
    .option(
      "--upstream <name>",
      "the registry that it was a proxy of, such as docker.io",
      parseUpstream,
    )
    .option(
      "--from <file>",
      "instead of a folder: adopt what the key adopt of the upstreams in this entrepot.yaml names, or of --upstream only; also the default of --config",
    )
    .option(
      "--shared",
      "adopt a folder also if it is another upstream's, so that it answers for both",
    )
    .option(
      "--link",
      "share the files with the folder instead of copying them, which takes no space; whoever owns the data directory later owns them in both",
    );
  return command.action(async (folder: string | undefined, options: AdoptOptions) => {
    const { upstream, from } = options;
    if (folder !== undefined && from === undefined && upstream !== undefined) {
      process.exitCode = await adoptFolder({ ...flagsOf(options), folder, upstream }, options);
    } else if (folder === undefined && from !== undefined) {
      process.exitCode = await adoptFrom(from, options);
    } else {
      command.error("error: give a folder and its --upstream, or --from with an entrepot.yaml");
    }
  });
}

function parseUpstream(text: string): UpstreamName {
  const name = parseUpstreamName(text);
  if (name) return name;
  throw new InvalidArgumentError("Write a registry's name as images carry it, such as ghcr.io.");
}

/** Only what is set: an older cache knows none of them. */
function flagsOf({ shared, link }: Pick<AdoptRequest, "shared" | "link">): {
  readonly shared?: true;
  readonly link?: true;
} {
  return { ...(shared ? { shared } : {}), ...(link ? { link } : {}) };
}

function adoptFolder(given: AdoptRequest, options: AdoptOptions): Promise<number> {
  const request = { ...given, folder: resolve(given.folder) };
  return onStore(
    options,
    async (connection, settings) => {
      const signal = interruptionOf(connection);
      const line = new ProgressLine();
      const adopted = await adoptOne(request, connection, settings, { line, signal });
      if (options.json) printJson(adopted);
      else print(textOf(adopted, request, connection));
      return exitCodeOf(adopted);
    },
    { mayCreate: ({ upstreams }) => mustBeAdoptable(request, upstreams) },
  );
}

async function adoptOne(
  request: AdoptRequest,
  connection: StoreConnection,
  { upstreams }: LoadedSettings,
  { line, signal }: { readonly line: ProgressLine; readonly signal: AbortSignal | undefined },
): Promise<Adopted> {
  const onProgress = (progress: Progress): void => line.show(progress);
  try {
    if (connection.kind === "stopped") {
      return await adopt(connection.storage, upstreams, { ...request, onProgress, signal });
    }
    const { client } = connection;
    const { folder, upstream } = request;
    const body = { folder, upstream, ...flagsOf(request) };
    const started = client.api.POST("/adopt", { body });
    return await runJob(client, started, adoptedSchema, (progress) =>
      onProgress(filesOf(progress)),
    );
  } catch (error) {
    if (connection.kind === "stopped" || !isExpected(error) || !isForbidden(error.message))
      throw error;
    throw new CommandError(`${error.message}. ${READS_AS_ITSELF}`, { cause: error });
  } finally {
    line.end();
  }
}

/** The advice where a running cache may not read what root may: a volume of Docker, for example. */
const READS_AS_ITSELF =
  "The cache that runs reads it as its own user: stop it, run this command again as root, and start it";

function textOf(adopted: Adopted, request: AdoptRequest, connection: StoreConnection): string {
  const isRunning = connection.kind === "running";
  const needsRoot = isRunning && adopted.failures.some(({ reason }) => isForbidden(reason));
  const data = isRunning ? undefined : connection.storage.path;
  return `${adoptedText(adopted, request, data)}${needsRoot ? `\n${READS_AS_ITSELF}.` : ""}`;
}

/**
 * Aborted by Ctrl-C or SIGTERM, so that a data directory that this process has open is closed, and its files
 * get their owner. A second one ends the process at once.
 */
function interruptionOf({ kind }: StoreConnection): AbortSignal | undefined {
  if (kind === "running") return undefined;
  const controller = new AbortController();
  const abort = (signal: NodeJS.Signals): void =>
    controller.abort(
      new InterruptedError(signal, "interrupted: run the command again, and it goes on"),
    );
  process.once("SIGINT", abort);
  process.once("SIGTERM", abort);
  return controller.signal;
}

/** 1 if anything of the folder was left out. */
function exitCodeOf({ corrupt, failed, omitted, outside }: Adopted): number {
  return corrupt + failed + omitted + outside > 0 ? 1 : 0;
}

/** One source, and what became of it: the elements of what `--json` prints. */
type Outcome = { readonly upstream: UpstreamName } & AdoptSource["data"] &
  ({ readonly adopted: Adopted } | { readonly error: string });

/**
 * Adopts what an entrepot.yaml names, one after the other. One that cannot be adopted keeps none of the
 * others from being adopted.
 */
async function adoptFrom(from: string, options: AdoptOptions): Promise<number> {
  const outcomes: Outcome[] = [];
  const failed = ({ upstream, data }: AdoptSource, error: string): void => {
    outcomes.push({ upstream, ...data, error });
    if (options.json) return;
    process.stderr.write(
      `entrepot: ${upstream}, from ${printable(describeData(data))}: ${error}\n`,
    );
  };
  const finish = (): number => {
    if (options.json) printJson({ adoptions: outcomes });
    const isComplete = outcomes.every((one) => "adopted" in one && exitCodeOf(one.adopted) === 0);
    return isComplete ? 0 : 1;
  };
  try {
    const planned = await planSources(readSources(from, options.upstream), options.shared ?? false);
    for (const one of planned) if ("problem" in one) failed(one.source, one.problem);
    const adoptable = planned.filter((one) => "folder" in one);
    if (adoptable.length === 0) return finish();
    const work = async (connection: StoreConnection, settings: LoadedSettings): Promise<number> => {
      const signal = interruptionOf(connection);
      for (const { source, folder } of adoptable) {
        const { upstream, data } = source;
        const request = { ...flagsOf(options), folder: resolve(folder), upstream };
        try {
          const line = new ProgressLine(`${upstream}: `);
          const adopted = await adoptOne(request, connection, settings, { line, signal });
          outcomes.push({ upstream, ...data, adopted });
          if (options.json) continue;
          print(`${upstream}, from ${printable(describeData(data))}:`);
          print(textOf(adopted, request, connection));
        } catch (error) {
          if (error instanceof InterruptedError && options.json) finish();
          if (!isExpected(error)) throw error;
          failed(source, printable(error.message));
        }
      }
      return finish();
    };
    const mayCreate = async ({ upstreams }: LoadedSettings): Promise<void> => {
      const isConfigured = adoptable.some(({ source }) => upstreams.has(source.upstream));
      const [first] = adoptable;
      if (!isConfigured && first) mustBeConfigured(first.source.upstream, upstreams);
    };
    return await onStore({ ...options, config: options.config ?? from }, work, { mayCreate });
  } catch (error) {
    return printError(error);
  }
}

/** What may be wrong with one folder, and not with the next. */
function isExpected(error: unknown): error is Error {
  return (
    error instanceof AdoptionError || error instanceof CommandError || error instanceof AdminError
  );
}
