import { Command } from "commander";
import type { Job } from "../../api/jobs.ts";
import { printable } from "../../printable.ts";
import type { AdminClient } from "../api/admin-client.ts";
import {
  CommandError,
  onRunning,
  print,
  printJson,
  storeCommand,
  type StoreOptions,
} from "../store/store-connection.ts";
import { jobsText } from "./jobs-text.ts";

export function jobsCommand(): Command {
  const jobs = new Command("jobs")
    .description("the long work of a running cache, which goes on when its command is gone")
    .addCommand(
      storeCommand("list", "list what runs, and what has ended lately").action(
        async (options: StoreOptions) => {
          process.exitCode = await runList(options);
        },
      ),
      { isDefault: true },
    )
    .addCommand(
      storeCommand("cancel", "end a job; what it has done by then stays done")
        .argument("<id>", "of the job, or how it begins")
        .action(async (id: string, options: StoreOptions) => {
          process.exitCode = await runCancel(id, options);
        }),
    );
  for (const command of jobs.commands) command.exitOverride();
  return jobs;
}

function runList(options: StoreOptions): Promise<number> {
  return onRunning(options, async (client) => {
    const jobs = await client.ask(client.api.GET("/jobs"));
    if (options.json) printJson(jobs);
    else print(jobsText(jobs.items));
    return 0;
  });
}

function runCancel(id: string, options: StoreOptions): Promise<number> {
  return onRunning(options, async (client) => {
    const { id: whole } = await jobOf(client, id);
    const params = { path: { id: whole } };
    const job = await client.order(client.api.DELETE("/jobs/{id}", { params }));
    if (options.json) printJson(job);
    else print(`Cancelled: ${printable(job.title)}.`);
    return 0;
  });
}

/** @throws CommandError unless exactly one job has this id, or begins with it */
async function jobOf(client: AdminClient, id: string): Promise<Job> {
  const { items } = await client.ask(client.api.GET("/jobs"));
  const found = items.filter((job) => id !== "" && job.id.startsWith(id));
  const [job] = found;
  if (job && found.length === 1) return job;
  const shown = JSON.stringify(id.slice(0, 100));
  throw new CommandError(
    job
      ? `${found.length} jobs have an id that begins with ${shown}: write more of it`
      : `no job has the id ${shown}: run entrepot jobs to list them`,
  );
}
