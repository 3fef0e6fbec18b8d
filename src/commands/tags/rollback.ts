import type { Command } from "commander";
import { named } from "../named-argument.ts";
import { onRunning } from "../store/store-connection.ts";
import { endOf, orderCommand, type OrderOptions, pastOf } from "./order-options.ts";
import { giveOrder } from "./give-order.ts";
import { PAST_FORMS } from "./moment.ts";

interface RollbackOptions extends OrderOptions {
  readonly to: string;
}

/** A digest, or as many of its digits as are taken for one. */
const DIGEST = /^(?:sha(?:256|512):[a-f0-9]*|[a-f0-9]{6,128})$/i;

export function rollbackCommand(): Command {
  return orderCommand("rollback", "have a tag point to a digest that it had before")
    .argument("<image>", "the tag, such as node:24")
    .requiredOption(
      "--to <digest|when>",
      `a digest or the first digits of one, as entrepot history lists them; or when it had it: ${PAST_FORMS}`,
      named("a digest, or when the tag had it"),
    )
    .action(async (image: string, options: RollbackOptions, command: Command) => {
      const until = endOf(options, command);
      const moment = DIGEST.test(options.to.trim())
        ? undefined
        : pastOf("--to", options.to, command, "a digest, ");
      const order = { kind: "rollback", image, to: moment?.at ?? options.to.trim() } as const;
      process.exitCode = await onRunning(options, (client) =>
        giveOrder(client, order, options, { until, past: { text: options.to, moment } }),
      );
    });
}
