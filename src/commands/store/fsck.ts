import { type Command, InvalidArgumentError } from "commander";
import { z } from "zod";
import { formatSize, parseSize } from "../../config/parsing/units.ts";
import type { AdminClient } from "./admin-client.ts";
import { type Done, ProgressLine } from "../progress.ts";
import { followed } from "./follow-progress.ts";
import { onStore, type StoreOptions, print, printJson, storeCommand } from "./store-connection.ts";
import { counted } from "../table.ts";

const resultForm = z.object({
  files: z.number(),
  bytes: z.number(),
  corrupt: z.array(z.string()),
  found: z.number(),
  lost: z.number(),
  repaired: z.boolean(),
});
type Result = z.infer<typeof resultForm>;

interface Options extends StoreOptions {
  readonly repair?: boolean;
  readonly rate?: number;
}

export function fsckCommand(): Command {
  return storeCommand("fsck", "verify every stored byte")
    .option("--repair", "set aside what is corrupt, to be fetched anew when it is asked for")
    .option(
      "--rate <size>",
      "read at most this much per second, such as 50MiB; 100MiB of a running cache unless set",
      rate,
    )
    .action(async (options: Options) => {
      process.exitCode = await fsck(options);
    });
}

function rate(text: string): number {
  const bytes = parseSize(text);
  if (bytes !== undefined && bytes > 0) return bytes;
  throw new InvalidArgumentError("Write a size of more than 0, such as 50MiB.");
}

function fsck(options: Options): Promise<number> {
  return onStore(options, async (reached) => {
    const line = new ProgressLine();
    const show = (done: Done): void => line.show(done);
    const result =
      reached.kind === "running"
        ? await remote(reached.client, options, show)
        : await local(reached.storage.admin, options, show);
    line.end();
    if (options.json) printJson(result);
    else report(result, reached.kind === "running");
    return result.corrupt.length > 0 ? 1 : 0;
  });
}

async function local(
  steward: {
    figures(): Promise<{ blobs: number; blobBytes: number }>;
    verify(options: {
      repair: boolean;
      rate?: number;
      onProgress: (done: { files: number; bytes: number }) => void;
    }): Promise<Result | object>;
  },
  { repair = false, rate: perSecond }: Options,
  show: (done: Done) => void,
): Promise<Result> {
  const { blobs, blobBytes } = await steward.figures();
  const result = await steward.verify({
    repair,
    ...(perSecond === undefined ? {} : { rate: perSecond }),
    onProgress: ({ files, bytes }) =>
      show({ files, bytes, of: { files: blobs, bytes: blobBytes } }),
  });
  return resultForm.parse(result);
}

async function remote(
  client: AdminClient,
  { repair = false, rate: perSecond }: Options,
  show: (done: Done) => void,
): Promise<Result> {
  const response = await client.send("fsck", {
    repair,
    ...(perSecond === undefined ? {} : { rate: perSecond }),
  });
  return followed(response, resultForm, show);
}

function report(result: Result, isRunning: boolean): void {
  const { files, bytes, corrupt, found, lost, repaired } = result;
  print(`Verified ${counted(files, "file")}, ${formatSize(bytes)}.`);
  for (const digest of corrupt) print(`corrupt: ${digest}`);
  if (corrupt.length > 0) {
    const isOne = corrupt.length === 1;
    const [it, is, was] = isOne ? ["it", "is", "was"] : ["they", "are", "were"];
    const done = repaired
      ? `set aside in the folder quarantine; ${it} ${is} fetched anew when asked for`
      : `found corrupt. Run again with --repair to set ${isOne ? "it" : "them"} aside, to be fetched anew`;
    const why = isRunning ? " (a running cache does not serve what it knows to be corrupt)" : "";
    print(`${counted(corrupt.length, "content")} ${was} ${done}${why}.`);
  } else print("Every byte is what its digest says.");
  if (found + lost > 0) {
    const verb = repaired ? "mended" : "to be mended by the next start, or by --repair";
    print(
      `Index: ${counted(found, "file")} not known, ${counted(lost, "content")} without a file: ${verb}.`,
    );
  }
}
