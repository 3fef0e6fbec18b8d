import type { Command } from "commander";
import type { Ordered } from "../../api/overrides.ts";
import { parseImagePattern } from "../../oci/image-pattern.ts";
import { named } from "../named-argument.ts";
import {
  CommandError,
  onRunning,
  print,
  printJson,
  storeCommand,
  type StoreOptions,
} from "../store/store-connection.ts";
import type { AdminClient } from "../api/admin-client.ts";
import { giveOrder } from "./give-order.ts";
import { PAST_FORMS } from "./moment.ts";
import { claimOf, endOf, orderCommand, type OrderOptions, pastOf } from "./order-options.ts";
import { orderedText } from "./order-text.ts";

interface FreezeOptions extends OrderOptions {
  readonly asOf: string;
}

interface UnfreezeOptions extends StoreOptions {
  readonly reason: string;
}

/** All images. */
const ALL = "*";

export function freezeCommand(): Command {
  return orderCommand("freeze", "have tags point where they did at a moment, whatever moves")
    .argument("[pattern]", "docker.io/library/node:24, or with * for any characters; default: all")
    .requiredOption("--as-of <when>", PAST_FORMS, named("a moment, such as yesterday"))
    .action(async (pattern = ALL, options: FreezeOptions, command: Command) => {
      const until = endOf(options, command);
      const moment = pastOf("--as-of", options.asOf, command);
      const order = { kind: "freeze", pattern, asOf: moment.at } as const;
      process.exitCode = await onRunning(options, (client) =>
        giveOrder(client, order, options, { until, past: { text: options.asOf, moment } }),
      );
    });
}

export function unfreezeCommand(): Command {
  return storeCommand("unfreeze", "end a freeze, so that tags point where their registries say")
    .argument(
      "[pattern]",
      "the pattern of the freeze, as entrepot overrides lists it; default: all",
    )
    .option("--reason <text>", "why: it is kept, and shown to others", named("why"), "unfreeze")
    .action(async (pattern = ALL, options: UnfreezeOptions) => {
      process.exitCode = await onRunning(options, (client) => unfreeze(client, pattern, options));
    });
}

async function unfreeze(
  client: AdminClient,
  text: string,
  options: UnfreezeOptions,
): Promise<number> {
  const params = { query: { active: "true" } } as const;
  const { items } = await client.ask(client.api.GET("/overrides", { params }));
  const freezes = items.filter(({ kind }) => kind === "freeze");
  const pattern = parseImagePattern(text)?.text ?? text;
  const meant = freezes.filter((freeze) => freeze.pattern === pattern);
  if (meant.length === 0) {
    const patterns = new Set(freezes.map((freeze) => `'${freeze.pattern}'`));
    const others = [...patterns].join(", ");
    throw new CommandError(
      others === ""
        ? "nothing is frozen: entrepot overrides lists what was decided of tags"
        : `nothing is frozen by the pattern '${pattern}': name one of ${others}`,
    );
  }
  const body = { reason: options.reason, claim: claimOf() };
  const all: Ordered[] = [];
  for (const { id } of meant) {
    const path = { params: { path: { id } }, body };
    const ended = await client.order(client.api.POST("/overrides/{id}/end", path));
    all.push(ended);
    if (!options.json) print(orderedText(ended, Date.now()));
  }
  const overrides = all.flatMap((ended) => ended.overrides);
  if (options.json) printJson({ ...all.at(-1), overrides });
  return 0;
}
