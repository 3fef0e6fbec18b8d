import { type Command, Option } from "commander";
import { z } from "zod";
import { formatSize } from "../../config/parsing/units.ts";
import { parseImagePattern } from "../../oci/image-pattern.ts";
import { ago, table } from "../table.ts";
import { onStore, print, printJson, storeCommand, type StoreOptions } from "./store-connection.ts";

const imageSchema = z.object({
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
const imagesSchema = z.object({ images: z.array(imageSchema) });
type Image = z.infer<typeof imageSchema>;

const ORDERS = {
  name: (one: Image, other: Image) => compare(nameOf(one), nameOf(other)),
  size: (one: Image, other: Image) => other.size - one.size,
  used: (one: Image, other: Image) => other.lastUsed - one.lastUsed,
} as const;

interface LsOptions extends StoreOptions {
  readonly sort: keyof typeof ORDERS;
  readonly reverse?: boolean;
}

export function lsCommand(): Command {
  return storeCommand("ls", "list the cached images")
    .argument("[pattern]", "docker.io/library/*, with * for any characters")
    .addOption(
      new Option("--sort <order>", "by name, largest first, or last used first")
        .choices(Object.keys(ORDERS))
        .default("name"),
    )
    .option("--reverse", "reverse the order")
    .action(async (pattern: string | undefined, options: LsOptions) => {
      process.exitCode = await runLs(pattern, options);
    });
}

function runLs(pattern: string | undefined, options: LsOptions): Promise<number> {
  return onStore(options, async (connection) => {
    const query = pattern === undefined ? "" : `?pattern=${encodeURIComponent(pattern)}`;
    const found =
      connection.kind === "running"
        ? await connection.client.get(`images${query}`, imagesSchema)
        : imagesSchema.parse({
            images: await Array.fromAsync(await connection.storage.admin.list(pattern)),
          });
    const images = found.images.toSorted(ORDERS[options.sort]);
    if (options.reverse) images.reverse();
    if (options.json) printJson({ images });
    else print(images.length === 0 ? noImagesText(pattern) : imageTable(images));
    return 0;
  });
}

function noImagesText(pattern: string | undefined): string {
  if (pattern === undefined) return "No images are cached yet.";
  return `No cached image matches ${parseImagePattern(pattern)?.text ?? pattern}.`;
}

function imageTable(images: readonly Image[]): string {
  const columns = [
    { title: "IMAGE" },
    { title: "TAG" },
    { title: "PLATFORMS" },
    { title: "SIZE", right: true },
    { title: "SHARED", right: true },
    { title: "LAST USED" },
    { title: "PIN" },
  ];
  const rows = images.map(({ image, tag, digest, platforms, partial, size, shared, ...rest }) => [
    image,
    tag ?? `@${digest.slice(0, 19)}…`,
    [...platforms, ...partial.map((name) => `${name}*`)].join(", ") || "-",
    formatSize(size),
    shared === 0 ? "-" : formatSize(shared),
    ago(rest.lastUsed),
    rest.pin ?? "-",
  ]);
  const hasPartial = images.some(({ partial }) => partial.length > 0);
  return table(columns, rows) + (hasPartial ? "\n* only some of its blobs are cached" : "");
}

function nameOf({ image, tag, digest }: Image): string {
  return `${image}:${tag ?? digest}`;
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
