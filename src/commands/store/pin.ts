import type { Command } from "commander";
import { z } from "zod";
import {
  CommandError,
  onStore,
  type StoreOptions,
  print,
  printJson,
  storeCommand,
} from "./store-connection.ts";
import { table } from "../table.ts";

const pinForm = z.object({
  pattern: z.string(),
  platforms: z.array(z.string()),
  since: z.number(),
  images: z.number(),
});
const pinsForm = z.object({ pins: z.array(pinForm) });

const cachedForm = z.object({ upstreams: z.array(z.object({ name: z.string() })) });

interface Options extends StoreOptions {
  readonly platform?: string[];
}

export function pinCommand(): Command {
  return storeCommand("pin", "keep images whatever happens; without a pattern, list the pins")
    .argument("[pattern]", "docker.io/library/*:*, registry.k8s.io/pause:3.10")
    .option(
      "--platform <name...>",
      "keep these platforms alone, such as linux/amd64; all that are here unless set",
    )
    .action(async (pattern: string | undefined, options: Options) => {
      process.exitCode = await pin(pattern, options);
    });
}

export function unpinCommand(): Command {
  return storeCommand("unpin", "keep images no longer whatever happens")
    .argument("<pattern>", "as it was pinned")
    .action(async (pattern: string, options: StoreOptions) => {
      process.exitCode = await unpin(pattern, options);
    });
}

function pin(pattern: string | undefined, options: Options): Promise<number> {
  return onStore(
    options,
    async (reached) => {
      if (reached.kind !== "running") throw new CommandError("the cache does not run");
      const { client } = reached;
      if (pattern === undefined) return list((await client.get("pins", pinsForm)).pins, options);
      const platforms = options.platform ?? [];
      const pinned = await client.post("pin", { pattern, platforms }, pinForm);
      if (options.json) printJson(pinned);
      else if (pinned.images > 0) print(`Pinned ${pinned.pattern}: ${images(pinned.images)}.`);
      else {
        const { upstreams } = await client.get("status", cachedForm);
        print(`Pinned ${pinned.pattern}: ${whyNothing(pinned.pattern, upstreams)}.`);
      }
      return 0;
    },
    { needsRunning: true },
  );
}

/** What nobody can pull by that name is a mistake more often than a plan. */
function whyNothing(pattern: string, upstreams: readonly { readonly name: string }[]): string {
  const registry = pattern.slice(0, pattern.indexOf("/"));
  const names = upstreams.map(({ name }) => name);
  if (registry === "" || registry.includes("*") || names.includes(registry)) {
    return "it matches nothing that is cached so far, and keeps what is pulled from now on";
  }
  return `it matches nothing, since ${registry} is not among the registries that are cached, ${names.join(", ")}`;
}

function unpin(pattern: string, options: StoreOptions): Promise<number> {
  return onStore(
    options,
    async (reached) => {
      if (reached.kind !== "running") throw new CommandError("the cache does not run");
      await reached.client.post("unpin", { pattern }, z.object({}));
      if (options.json) printJson({ pattern });
      else print(`${pattern} is no longer pinned.`);
      return 0;
    },
    { needsRunning: true },
  );
}

function list(pins: readonly z.infer<typeof pinForm>[], { json }: StoreOptions): number {
  if (json) printJson({ pins });
  else if (pins.length === 0)
    print("Nothing is pinned. For example: entrepot pin 'docker.io/library/*:*'");
  else {
    const rows = pins.map((one) => [
      one.pattern,
      one.platforms.join(", ") || "all that are here",
      String(one.images),
      new Date(one.since).toISOString().slice(0, 10),
    ]);
    const columns = [
      { title: "PATTERN" },
      { title: "PLATFORMS" },
      { title: "IMAGES", right: true },
      { title: "SINCE" },
    ];
    print(table(columns, rows));
  }
  return 0;
}

function images(count: number): string {
  return count === 1 ? "one image" : `${count} images`;
}
