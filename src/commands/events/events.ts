import { Command } from "commander";
import { printable } from "../../printable.ts";
import {
  onRunning,
  print,
  printJson,
  storeCommand,
  type StoreOptions,
} from "../store/store-connection.ts";
import { named } from "../named-argument.ts";
import { table } from "../table.ts";

const COLUMNS = [
  { title: "RECEIVER" },
  { title: "AT" },
  { title: "QUEUED", right: true },
  { title: "DELIVERED", right: true },
  { title: "DROPPED", right: true },
  { title: "PROBLEM" },
];

export function eventsCommand(): Command {
  const events = new Command("events")
    .description("the receivers of events (webhooks), and whether they get them")
    .addCommand(
      storeCommand(
        "status",
        "list the receivers; exit code 1 if one does not get its events",
      ).action(async (options: StoreOptions) => {
        process.exitCode = await runStatus(options);
      }),
      { isDefault: true },
    )
    .addCommand(
      storeCommand("test", "send a test event; exit code 1 if a receiver does not take it")
        .argument(
          "[receiver]",
          "one of events.webhooks (default: all of them)",
          named("the name of one"),
        )
        .action(async (receiver: string | undefined, options: StoreOptions) => {
          process.exitCode = await runTest(receiver, options);
        }),
    );
  for (const command of events.commands) command.exitOverride();
  return events;
}

function runStatus(options: StoreOptions): Promise<number> {
  return onRunning(options, async (client) => {
    const webhooks = await client.ask(client.api.GET("/webhooks"));
    const { items } = webhooks;
    if (options.json) printJson(webhooks);
    else if (items.length === 0)
      print("No receivers: add one to events.webhooks of entrepot.yaml.");
    else {
      const rows = items.map(({ name, receiver, queued, delivered, dropped, problem }) => [
        name,
        receiver,
        String(queued),
        String(delivered),
        String(dropped),
        problem === undefined ? "" : printable(problem),
      ]);
      print(table(COLUMNS, rows));
    }
    return items.some(({ problem }) => problem !== undefined) ? 1 : 0;
  });
}

function runTest(name: string | undefined, options: StoreOptions): Promise<number> {
  return onRunning(options, async (client) => {
    const body = name === undefined ? {} : { name };
    const tests = await client.order(client.api.POST("/webhooks/test", { body }));
    if (options.json) printJson(tests);
    else {
      for (const { name: receiver, isDelivered, problem = "" } of tests.items) {
        print(
          isDelivered ? `${receiver} took the event` : `${receiver} did not: ${printable(problem)}`,
        );
      }
    }
    return tests.items.every(({ isDelivered }) => isDelivered) ? 0 : 1;
  });
}
