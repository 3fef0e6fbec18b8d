import { type Command, InvalidArgumentError } from "commander";
import { type WarmResult, warmResultSchema } from "../../api/warm.ts";
import type { AdminClient } from "../api/admin-client.ts";
import { ConfigError } from "../../config/parsing/problems.ts";
import { runJob } from "../api/run-job.ts";
import { named } from "../named-argument.ts";
import { ProgressLine } from "../progress.ts";
import { imageName } from "../../oci/image-reference.ts";
import type { WantedImage } from "../../readiness/wanted.ts";
import {
  CommandError,
  onRunning,
  print,
  printJson,
  storeCommand,
  type StoreOptions,
} from "../store/store-connection.ts";
import { NodeError, readNode } from "./read-node.ts";
import { readImageFile } from "./image-file.ts";
import { warmProgressText, warmText } from "./warm-text.ts";

/** Options that a list has in the configuration. */
const OF_LISTS = ["platform", "referrers", "pin", "max"];

interface WarmOptions extends StoreOptions {
  readonly file?: readonly string[];
  readonly list?: string;
  readonly fromCluster?: true;
  readonly fromNode?: true | string;
  readonly platform: readonly string[];
  readonly referrers?: true;
  readonly pin?: true;
  readonly max?: number;
  readonly detach?: true;
}

/** Gathers the values of an option that may be given several times. */
export function each(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

export function warmCommand(): Command {
  const command = storeCommand(
    "warm",
    "download images before anybody pulls them, behind all pulls",
  )
    .argument(
      "[images...]",
      "such as nginx, docker.io/library/node:>=22 <25 (a range of versions), or quay.io/org/app:release-*",
    )
    .option("--file <file>", "further images, one in each line; - for standard input", each)
    .option(
      "--list <name>",
      "instead: a list under warm of the cache's configuration",
      named("the name of one"),
    )
    .option(
      "--from-node [socket]",
      "further images: what the runtime of this machine has, by CRI (default: that of containerd, k3s or CRI-O)",
      named("the path of one, or leave it out"),
    )
    .option("--from-cluster", "further images: what the cluster of the cache runs, or would run")
    .option(
      "--platform <platform>",
      "such as linux/arm64, or all; may be given several times (default: those in use)",
      each,
      [],
    )
    .option("--referrers", "signatures, SBOMs and attestations, too")
    .option("--pin", "pin the images, so that they are never evicted")
    .option(
      "--max <count>",
      "how many images a range may select: the highest versions (default: 20)",
      parseMax,
    )
    .option("--detach", "do not wait: print the job, which goes on");
  return command.action(async (images: readonly string[], options: WarmOptions) => {
    const { list, file = [], fromCluster = false, fromNode = false } = options;
    const isNamed = images.length + file.length > 0 || fromCluster || fromNode !== false;
    if (isNamed === (list !== undefined)) {
      command.error("error: give images, --file, --from-node or --from-cluster, or else a --list");
    }
    if (
      list !== undefined &&
      OF_LISTS.some((name) => command.getOptionValueSource(name) === "cli")
    ) {
      command.error(
        "error: a --list has its own platforms, referrers, pin and max in the cache's configuration: leave these options out",
      );
    }
    process.exitCode = await onRunning(options, (client) => warm(client, images, options));
  });
}

function parseMax(text: string): number {
  const max = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (max >= 1 && max <= 1000) return max;
  throw new InvalidArgumentError("Write a number from 1 to 1000.");
}

async function warm(
  client: AdminClient,
  images: readonly string[],
  options: WarmOptions,
): Promise<number> {
  const { list, file = [], fromCluster, fromNode, referrers, pin, max, json, detach } = options;
  const written = [...images, ...file.flatMap((name) => readImageFile(name))];
  if (file.length > 0 && written.length === 0 && !fromCluster && fromNode === undefined) {
    throw new ConfigError([{ message: `--file: no image is named in ${file.join(", ")}` }]);
  }
  const node = fromNode === undefined ? [] : await imagesOfNode(fromNode);
  // The platform of this node is that of its images alone.
  const isNodes = written.length === 0 && !fromCluster;
  const platforms =
    options.platform.length === 0 && isNodes
      ? new Set(node.flatMap((wanted) => wanted.platforms ?? []))
      : options.platform;
  const body = {
    images: [...new Set([...written, ...node.map(({ image }) => imageName(image))])],
    from: fromCluster ? (["cluster"] satisfies ["cluster"]) : [],
    platforms: [...platforms],
    ...(referrers ? { referrers } : {}),
    ...(pin ? { pin } : {}),
    ...(max === undefined ? {} : { max }),
  };
  const start = () =>
    list === undefined
      ? client.api.POST("/warm", { body })
      : client.api.POST("/warm/{name}", { params: { path: { name: list } } });
  if (detach) {
    const job = await client.order(start());
    if (json) printJson(job);
    else print(`Started job ${job.id}: ${job.title}.`);
    return 0;
  }
  const result = await runWarm(client, start());
  if (json) printJson(result);
  else print(warmText(result));
  // A node and a cluster have images of other registries, too.
  const isComplete = result.uncached === 0 || fromNode !== undefined || fromCluster === true;
  return result.failed === 0 && isComplete ? 0 : 1;
}

/** @throws CommandError */
async function imagesOfNode(socket: true | string): Promise<readonly WantedImage[]> {
  try {
    const wanted = await readNode(socket === true ? undefined : socket);
    if (wanted.length > 0) return wanted;
    throw new NodeError("the runtime of this machine has no images that a registry could have");
  } catch (error) {
    if (!(error instanceof NodeError)) throw error;
    throw new CommandError(`--from-node: ${error.message}`, { cause: error });
  }
}

/** Waits for a job that warms, and shows how far it is. */
export async function runWarm(
  client: AdminClient,
  started: Parameters<typeof runJob<WarmResult>>[1],
): Promise<WarmResult> {
  const line = new ProgressLine();
  try {
    return await runJob(client, started, warmResultSchema, (progress) =>
      line.tell(() => warmProgressText(progress)),
    );
  } finally {
    line.end();
  }
}
