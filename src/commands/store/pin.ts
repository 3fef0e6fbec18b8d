import type { Command } from "commander";
import { named } from "../named-argument.ts";
import { counted, table } from "../table.ts";
import type { Pin } from "../../api/pins.ts";
import { reachText } from "./replica-reach.ts";
import {
  onRunning,
  print,
  printJson,
  storeCommand,
  type StoreOptions,
} from "./store-connection.ts";

interface PinOptions extends StoreOptions {
  readonly platform?: string[];
}

export function pinCommand(): Command {
  return storeCommand("pin", "protect images from eviction; without a pattern, list the pins")
    .argument("[pattern]", "registry.k8s.io/pause:3.10, or with * for any characters")
    .option(
      "--platform <name...>",
      "pin only these platforms, such as linux/amd64 (default: all that are cached)",
    )
    .action(async (pattern: string | undefined, options: PinOptions, command: Command) => {
      if (pattern === undefined && options.platform) {
        command.error(
          "error: --platform takes all words after it, and no pattern is left: write the pattern first",
        );
      }
      process.exitCode = await (pattern === undefined
        ? runListPins(options)
        : runPin(pattern, options));
    });
}

export function unpinCommand(): Command {
  return storeCommand("unpin", "remove a pin, so that its images can be evicted again")
    .argument(
      "<pattern>",
      "the pattern of the pin, as entrepot pin lists it",
      named("one that entrepot pin lists"),
    )
    .action(async (pattern: string, options: StoreOptions) => {
      process.exitCode = await runUnpin(pattern, options);
    });
}

function runListPins(options: StoreOptions): Promise<number> {
  return onRunning(options, async (client) => {
    const { items: pins } = await client.ask(client.api.GET("/pins"));
    if (options.json) printJson({ pins });
    else print(pinTable(pins));
    return 0;
  });
}

function runPin(pattern: string, options: PinOptions): Promise<number> {
  return onRunning(options, async (client) => {
    const platforms = options.platform ?? [];
    const body = { pattern, platforms };
    const pin = await client.order(client.api.POST("/pins", { body }));
    if (options.json) {
      printJson(pin);
      return 0;
    }
    if (pin.images > 0) print(`Pinned ${pin.pattern}: ${counted(pin.images, "image")}.`);
    else {
      const { upstreams } = await client.ask(client.api.GET("/status"));
      const names = upstreams.map(({ name }) => name);
      print(`Pinned ${pin.pattern}: ${noMatchReason(pin.pattern, names)}.`);
    }
    for (const line of reachText("Pinned", pin.replicas)) print(line);
    return 0;
  });
}

function runUnpin(pattern: string, options: StoreOptions): Promise<number> {
  return onRunning(options, async (client) => {
    const params = { path: { pattern } };
    const unpinned = await client.order(client.api.DELETE("/pins/{pattern}", { params }));
    if (options.json) printJson({ pattern, ...unpinned });
    else
      print(
        [`${pattern} is no longer pinned.`, ...reachText("Unpinned", unpinned.replicas)].join("\n"),
      );
    return 0;
  });
}

/** A pattern of a registry that is not configured can never match: it is rather a mistake. */
function noMatchReason(pattern: string, upstreams: readonly string[]): string {
  const registry = pattern.slice(0, pattern.indexOf("/"));
  if (registry === "" || registry.includes("*") || upstreams.includes(registry)) {
    return "no cached image matches it yet; images that are pulled from now on are kept";
  }
  return `no image can match it, since ${registry} is not a configured upstream. Configured upstreams: ${upstreams.join(", ")}`;
}

function pinTable(pins: readonly Pin[]): string {
  if (pins.length === 0) return "There are no pins. Example: entrepot pin 'docker.io/library/*:*'";
  const columns = [
    { title: "PATTERN" },
    { title: "PLATFORMS" },
    { title: "IMAGES", right: true },
    { title: "SINCE" },
  ];
  const rows = pins.map(({ pattern, platforms, images, since }) => [
    pattern,
    platforms.join(", ") || "all cached",
    String(images),
    new Date(since).toISOString().slice(0, 10),
  ]);
  return table(columns, rows);
}
