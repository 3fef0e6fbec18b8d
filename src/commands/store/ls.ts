import { printableJson } from "../../printable.ts";
import { type Command, Option } from "commander";
import { type Image, imageSchema } from "../../api/images.ts";
import { MAX_PAGE } from "../../api/page.ts";
import { type AdminClient, eachPage } from "../api/admin-client.ts";
import { formatSize } from "../../config/parsing/units.ts";
import { parseImagePattern } from "../../oci/image-pattern.ts";
import { ago, tableLines } from "../table.ts";
import { runSharedLs } from "./shared-store.ts";
import { onStore, print, printLines, storeCommand, type StoreOptions } from "./store-connection.ts";

/** What is kept of an image until all are known, and can be sorted: tens of thousands take memory. */
interface Line extends Pick<Image, "size" | "lastUsed"> {
  readonly name: string;
  /** In the table, or the JSON text. */
  readonly cells: readonly string[];
  readonly isPartial: boolean;
}

const ORDERS = {
  name: (one: Line, other: Line) => compare(one.name, other.name),
  size: (one: Line, other: Line) => other.size - one.size,
  used: (one: Line, other: Line) => other.lastUsed - one.lastUsed,
} as const;

interface LsOptions extends StoreOptions {
  readonly sort: keyof typeof ORDERS;
  readonly reverse?: boolean;
  readonly shared?: boolean;
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
    .option("--shared", "list the objects of the store that replicas share, and no images")
    .action(async (pattern: string | undefined, options: LsOptions, command: Command) => {
      if (options.shared && pattern !== undefined) {
        command.error(
          "error: --shared takes no pattern: objects of the shared store have no names",
        );
      }
      process.exitCode = await (options.shared ? runSharedLs(options) : runLs(pattern, options));
    });
}

function runLs(pattern: string | undefined, options: LsOptions): Promise<number> {
  return onStore(options, async (connection) => {
    const lines: Line[] = [];
    const take = (image: Image): void => {
      const { size, lastUsed, partial } = image;
      const cells = options.json ? [jsonOf(image)] : cellsOf(image);
      const isPartial = partial.length > 0;
      lines.push({ name: nameOf(image), size, lastUsed, cells, isPartial });
    };
    if (connection.kind === "running") {
      noteStoring(await readImages(connection.client, pattern, take));
    } else {
      const images = await connection.storage.admin.list(pattern);
      for await (const image of images) take(imageSchema.parse(image));
    }
    lines.sort(ORDERS[options.sort]);
    if (options.reverse) lines.reverse();
    if (options.json) await printLines(jsonLines(lines));
    else if (lines.length === 0) print(noImagesText(pattern));
    else await printLines(imageTable(lines));
    return 0;
  });
}

/** @returns how many manifests and blobs are still being written, and not listed yet */
async function readImages(
  client: AdminClient,
  pattern: string | undefined,
  take: (image: Image) => void,
): Promise<number> {
  let storing = 0;
  const page = async (cursor: string | undefined) => {
    const query = { limit: MAX_PAGE, ...(pattern && { pattern }), ...(cursor && { cursor }) };
    const answer = await client.ask(client.api.GET("/images", { params: { query } }));
    storing = answer.storing;
    return answer;
  };
  for await (const images of eachPage(page)) for (const image of images) take(image);
  return storing;
}

/** Says what is not listed yet, beside the list. */
function noteStoring(count: number): void {
  if (count === 0) return;
  const [what, are] =
    count === 1 ? ["one manifest or blob", "is"] : [`${count} manifests and blobs`, "are"];
  process.stderr.write(
    `entrepot: ${what} that clients have pulled ${are} still being written, and not listed yet\n`,
  );
}

/** As `printJson` writes it. */
function jsonOf(image: Image): string {
  return printableJson(image).replaceAll("\n", "\n    ");
}

function* jsonLines(lines: readonly Line[]): Generator<string> {
  if (lines.length === 0) {
    yield '{\n  "images": []\n}';
    return;
  }
  yield '{\n  "images": [';
  const last = lines.length - 1;
  for (const [at, { cells }] of lines.entries()) yield `    ${cells[0]}${at < last ? "," : ""}`;
  yield "  ]\n}";
}

function noImagesText(pattern: string | undefined): string {
  if (pattern === undefined) return "No images are cached yet.";
  return `No cached image matches ${parseImagePattern(pattern)?.text ?? pattern}.`;
}

const COLUMNS = [
  { title: "IMAGE" },
  { title: "TAG" },
  { title: "PLATFORMS" },
  { title: "SIZE", right: true },
  { title: "SHARED", right: true },
  { title: "LAST USED" },
  { title: "PIN" },
];

function cellsOf({
  image,
  tag,
  digest,
  platforms,
  partial,
  size,
  shared,
  ...rest
}: Image): string[] {
  return [
    image,
    tag ?? `@${digest.slice(0, 19)}…`,
    [...platforms, ...partial.map((name) => `${name}*`)].join(", ") || "-",
    formatSize(size),
    shared === 0 ? "-" : formatSize(shared),
    ago(rest.lastUsed),
    rest.pin ?? "-",
  ];
}

function* imageTable(lines: readonly Line[]): Generator<string> {
  yield* tableLines(
    COLUMNS,
    lines.map(({ cells }) => cells),
  );
  if (lines.some(({ isPartial }) => isPartial)) yield "\n* only some of its blobs are cached";
}

function nameOf({ image, tag, digest }: Image): string {
  return `${image}:${tag ?? digest}`;
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
