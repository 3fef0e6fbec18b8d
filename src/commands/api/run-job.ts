import { setTimeout } from "node:timers/promises";
import type { z } from "zod";
import { type Job, jobSchema, type Progress } from "../../api/jobs.ts";
import type { Progress as FileProgress } from "../progress.ts";
import { type AdminClient, AdminError, type ApiAnswer, problemText } from "./admin-client.ts";

/** After a stream of events has ended, in milliseconds. */
const RECONNECT_MS = 200;

/**
 * Waits for a job, and gives its result. Ctrl-C and SIGTERM cancel the job; a second one ends the process.
 *
 * @param started the answer to the request that starts it
 * @param schema of its result
 * @throws AdminError if the cache refuses, the job fails or is cancelled, or the cache stops meanwhile
 */
export async function runJob<Result extends object>(
  client: AdminClient,
  started: Promise<ApiAnswer<{ readonly id: string; readonly result?: Result | undefined }>>,
  schema: z.ZodType<Result>,
  onProgress: (progress: Progress) => void = () => {},
): Promise<Result> {
  const { id } = await client.order(started);
  const params = { path: { id } };
  const cancel = (): void => void client.api.DELETE("/jobs/{id}", { params }).catch(() => {});
  process.once("SIGINT", cancel).once("SIGTERM", cancel);
  try {
    const ended = await jobEnd(client, id, onProgress);
    return schema.parse(resultOf(ended));
  } finally {
    process.off("SIGINT", cancel).off("SIGTERM", cancel);
  }
}

/** @throws AdminError if the cache stops before */
async function jobEnd(
  client: AdminClient,
  id: string,
  onProgress: (progress: Progress) => void,
): Promise<Job> {
  // A cache ends streams of events now and then. Each begins with the job as it is.
  for (let isThere = true; isThere;) {
    isThere = false;
    for await (const job of jobEvents(client, id)) {
      if (job.endedAt !== undefined) return job;
      isThere = true;
      onProgress(job.progress);
    }
    if (isThere) await setTimeout(RECONNECT_MS);
  }
  throw new AdminError(503, "the cache stopped before it was done: run the command again");
}

/** @throws AdminError unless it is done */
function resultOf({ state, result, problem }: Job): unknown {
  if (state === "done") return result;
  if (problem) throw new AdminError(problem.status, problemText(problem));
  throw new AdminError(409, "cancelled: what was done by then stays done");
}

/** Ends early if the connection breaks, as that of a killed cache does, or if there is no such job any more. */
async function* jobEvents(client: AdminClient, id: string): AsyncGenerator<Job> {
  const params = { path: { id } };
  const answer = client.api.GET("/jobs/{id}/events", { params, parseAs: "stream" });
  const { data: events = null } = await answer.catch(() => ({ data: null }));
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of untilBroken(events)) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line.startsWith("data: ")) yield jobSchema.parse(JSON.parse(line.slice(6)));
    }
  }
}

async function* untilBroken(body: ReadableStream<Uint8Array> | null): AsyncGenerator<Uint8Array> {
  try {
    yield* body ?? [];
  } catch {
    return;
  }
}

/** The progress of a job that reads files. */
export function filesOf({ done = {}, of }: Progress): FileProgress {
  const { blobs: files = 0, bytes = 0 } = done;
  if (of?.blobs === undefined || of.bytes === undefined) return { files, bytes };
  return { files, bytes, of: { files: of.blobs, bytes: of.bytes } };
}
