import { type Command, Option } from "commander";
import { z } from "zod";
import { formatSize } from "../../config/parsing/units.ts";
import { parseImagePattern } from "../../oci/image-pattern.ts";
import { onStore, type StoreOptions, print, printJson, storeCommand } from "./store-connection.ts";
import { ago, table } from "../table.ts";

const imageForm = z.object({
  image: z.string(),
  tag: z.string().optional(),
  digest: z.string(),
  platforms: z.array(z.string()),
  partial: z.array(z.string()),
  size: z.number(),
  shared: z.number(),
  lastUsed: z.number(),
  pin: z.string().optional(),
});
type Listed = z.infer<typeof imageForm>;

const ORDERS = {
  name: (one: Listed, other: Listed) => compare(nameOf(one), nameOf(other)),
  size: (one: Listed, other: Listed) => other.size - one.size,
  used: (one: Listed, other: Listed) => other.lastUsed - one.lastUsed,
} as const;

interface Options extends StoreOptions {
  readonly sort: keyof typeof ORDERS;
  readonly reverse?: boolean;
}

export function lsCommand(): Command {
  return storeCommand("ls", "list what is cached")
    .argument("[pattern]", "docker.io/library/*, with * for any characters")
    .addOption(
      new Option("--sort <by>", "the largest or the last used first, or by name")
        .choices(Object.keys(ORDERS))
        .default("name"),
    )
    .option("--reverse", "the other way round")
    .action(async (pattern: string | undefined, options: Options) => {
      process.exitCode = await ls(pattern, options);
    });
}

function ls(pattern: string | undefined, options: Options): Promise<number> {
  return onStore(options, async (reached) => {
    const query = pattern === undefined ? "" : `?pattern=${encodeURIComponent(pattern)}`;
    const found: readonly Listed[] =
      reached.kind === "running"
        ? (await reached.client.get(`images${query}`, z.object({ images: z.array(imageForm) })))
            .images
        : (await reached.storage.admin.list(pattern)).map((image) => imageForm.parse(image));
    const images = found.toSorted(ORDERS[options.sort]);
    if (options.reverse) images.reverse();
    if (options.json) printJson({ images });
    else if (images.length === 0) {
      print(
        pattern === undefined
          ? "Nothing is cached yet."
          : `Nothing that is cached is meant by ${parseImagePattern(pattern)?.text ?? pattern}.`,
      );
    } else print(imageTable(images));
    return 0;
  });
}

function imageTable(images: readonly Listed[]): string {
  const columns = [
    { title: "IMAGE" },
    { title: "TAG" },
    { title: "PLATFORMS" },
    { title: "SIZE", right: true },
    { title: "SHARED", right: true },
    { title: "LAST USED" },
    { title: "PIN" },
  ];
  const rows = images.map((one) => [
    one.image,
    one.tag ?? `@${one.digest.slice(0, 19)}…`,
    // A platform of which a part is here has a mark.
    [...one.platforms, ...one.partial.map((name) => `${name}*`)].join(", ") || "-",
    formatSize(one.size),
    one.shared === 0 ? "-" : formatSize(one.shared),
    ago(one.lastUsed),
    one.pin ?? "-",
  ]);
  const isMarked = images.some((one) => one.partial.length > 0);
  return table(columns, rows) + (isMarked ? "\n* in part" : "");
}

function nameOf({ image, tag, digest }: Listed): string {
  return `${image}:${tag ?? digest}`;
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
