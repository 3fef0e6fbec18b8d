import { setTimeout } from "node:timers/promises";
import { Command } from "commander";
import { parseDuration } from "../../config/parsing/units.ts";
import { parseCacheUrl } from "../../node/cache-url.ts";
import { imageName, type ImageReference, parseImageReference } from "../../oci/image-reference.ts";
import { isPlatform } from "../../oci/platform-match.ts";
import { printableLines } from "../../printable.ts";
import { readCa } from "../node/ca-file.ts";
import { UsageError } from "../node/node-options.ts";
import { trialPull, TrialPullError, type TrialPullOptions } from "./trial-pull.ts";

interface PullOptions {
  readonly cache: string;
  readonly ca?: string;
  readonly platform: string;
  readonly wait: string;
}

const ARCHITECTURE = process.arch === "x64" ? "amd64" : process.arch;
const RETRY_MS = 1_000;

export function pullCommand(): Command {
  return new Command("pull")
    .description("try a cache: pull images through it as nodes do, verify every byte, keep none")
    .argument("<images...>", "such as registry.k8s.io/pause:3.10")
    .requiredOption("--cache <url>", "the cache as nodes reach it: http://host:port")
    .option("--ca <file>", "the CA of an https:// cache's certificate, in PEM")
    .option("--platform <platform>", "which image of an index", `linux/${ARCHITECTURE}`)
    .option("--wait <duration>", "how long to try again", "0s")
    .action(async (images: readonly string[], options: PullOptions) => {
      process.exitCode = await run(images, options);
    });
}

async function run(images: readonly string[], options: PullOptions): Promise<number> {
  try {
    const { waitMs, ...from } = readOptions(options);
    const end = Date.now() + waitMs;
    for (const image of images.map(readImage)) await pullUntil(end, { ...from, image });
    return 0;
  } catch (error) {
    if (!(error instanceof TrialPullError || error instanceof UsageError)) throw error;
    process.stderr.write(`entrepot: ${printableLines(error.message)}\n`);
    return error instanceof UsageError ? 2 : 1;
  }
}

async function pullUntil(end: number, options: TrialPullOptions): Promise<void> {
  const name = imageName(options.image);
  for (;;) {
    try {
      const { digest, blobs, bytes } = await trialPull(options);
      console.log(`${name}: ${digest}, ${bytes} bytes in ${blobs} blobs, each verified`);
      return;
    } catch (error) {
      if (!(error instanceof TrialPullError)) throw error;
      if (Date.now() >= end) {
        throw new TrialPullError(`${name}: ${error.message}`, { cause: error });
      }
    }
    await setTimeout(RETRY_MS);
  }
}

function readOptions({ cache, ca, platform, wait }: PullOptions) {
  const parsed = parseCacheUrl(cache);
  if ("problem" in parsed) throw new UsageError(`--cache ${cache} ${parsed.problem}`);
  if (!isPlatform(platform)) {
    throw new UsageError(`--platform ${platform} is not a valid platform: write linux/amd64`);
  }
  const waitMs = parseDuration(wait);
  if (waitMs === undefined) {
    throw new UsageError(`--wait ${wait} is not a valid duration: write 30s`);
  }
  const pem = ca === undefined ? undefined : readCa(ca);
  return { cache: parsed.url, platform, waitMs, ca: pem };
}

function readImage(text: string): ImageReference {
  const image = parseImageReference(text);
  if (image) return image;
  throw new UsageError(`${text} is not a valid image: write registry.k8s.io/pause:3.10`);
}
