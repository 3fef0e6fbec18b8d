import type { Command } from "commander";
import { onRunning } from "../store/store-connection.ts";
import { endOf, orderCommand, type OrderOptions } from "./order-options.ts";
import { giveOrder } from "./give-order.ts";

interface ReleaseOptions extends OrderOptions {
  readonly unverified?: boolean;
}

export function releaseCommand(): Command {
  return orderCommand(
    "release",
    "serve what is held of an image: its newest digest at once, or without the hold or rollback that keeps it",
  )
    .argument("<image>", "a tag, such as node:24, or a digest, such as node@sha256:…")
    .option("--unverified", "also where its signatures are not as the rules want them")
    .action(async (image: string, options: ReleaseOptions, command: Command) => {
      const until = endOf(options, command);
      const isUnverified = options.unverified ?? false;
      process.exitCode = await onRunning(options, (client) =>
        giveOrder(client, { kind: "release", image, isUnverified }, options, { until }),
      );
    });
}

export function holdCommand(): Command {
  return orderCommand("hold", "keep a tag where it is, or give a digest to nobody")
    .argument("<image>", "a tag, such as node:24, or a digest, such as node@sha256:…")
    .action(async (image: string, options: OrderOptions, command: Command) => {
      const until = endOf(options, command);
      process.exitCode = await onRunning(options, (client) =>
        giveOrder(client, { kind: "hold", image }, options, { until }),
      );
    });
}
