import { setTimeout } from "node:timers/promises";
import type { z } from "zod";
import type { Job, Progress } from "../../api/jobs.ts";
import { InterruptedError } from "../interrupted.ts";
import type { Progress as FileProgress } from "../progress.ts";
import { type AdminClient, AdminError, type ApiAnswer, problemText } from "./admin-client.ts";
import { jobEvents } from "./job-events.ts";

/** After a stream of events has ended, in milliseconds. */
const RECONNECT_MS = 200;

/**
 * Waits for a job, and gives its result. Ctrl-C and SIGTERM cancel the job; a second one ends the process.
 *
 * @param started the answer to the request that starts it
 * @param schema of its result
 * @throws AdminError if the cache refuses, the job fails or is cancelled, or the cache stops meanwhile
 * @throws InterruptedError if a signal has cancelled it
 */
export async function runJob<Result extends object>(
  client: AdminClient,
  started: Promise<ApiAnswer<{ readonly id: string; readonly result?: Result | undefined }>>,
  schema: z.ZodType<Result>,
  onProgress: (progress: Progress) => void = () => {},
): Promise<Result> {
  using interruption = new Interruption(client);
  const { id } = await client.order(started);
  interruption.follow(id);
  try {
    const ended = await jobEnd(client, id, onProgress);
    return schema.parse(resultOf(ended));
  } catch (error) {
    throw await interruption.explain(error);
  }
}

/** Cancels a job when a signal comes. */
class Interruption implements Disposable {
  readonly #client: AdminClient;
  #id: string | undefined;
  #signal: NodeJS.Signals | undefined;
  /** Whether the cache has cancelled the job, once it has been asked to. */
  #cancelled: Promise<boolean> | undefined;

  constructor(client: AdminClient) {
    this.#client = client;
    process.once("SIGINT", this.#interrupt).once("SIGTERM", this.#interrupt);
  }

  /** The job, which is not known before its cache has answered. */
  follow(id: string): void {
    this.#id = id;
    if (this.#signal !== undefined) this.#cancelled = this.#cancel(id);
  }

  /** What an error means if a signal came before it. */
  async explain(error: unknown): Promise<unknown> {
    if (this.#signal === undefined || !(error instanceof AdminError)) return error;
    // The end of the job may be told before the cancellation is answered.
    const what = (await this.#cancelled)
      ? "interrupted: the job was cancelled, and what was done by then stays done"
      : `interrupted, and the job ${this.#id} could not be cancelled (${error.message}): entrepot jobs shows whether it goes on`;
    return new InterruptedError(this.#signal, what, { cause: error });
  }

  [Symbol.dispose](): void {
    process.off("SIGINT", this.#interrupt).off("SIGTERM", this.#interrupt);
  }

  readonly #interrupt = (signal: NodeJS.Signals): void => {
    // The next one ends the process.
    this[Symbol.dispose]();
    this.#signal = signal;
    const which = this.#id === undefined ? "the job" : `the job ${this.#id}`;
    process.stderr.write(
      `\nentrepot: cancelling ${which}. Once more ends this command only: entrepot jobs shows what becomes of the job\n`,
    );
    if (this.#id !== undefined) this.#cancelled = this.#cancel(this.#id);
  };

  async #cancel(id: string): Promise<boolean> {
    try {
      await this.#client.ask(this.#client.api.DELETE("/jobs/{id}", { params: { path: { id } } }));
      return true;
    } catch {
      // What the job becomes is told where it is followed.
      return false;
    }
  }
}

/** @throws AdminError if the cache stops before */
async function jobEnd(
  client: AdminClient,
  id: string,
  onProgress: (progress: Progress) => void,
): Promise<Job> {
  let kind: string | undefined;
  // A cache ends streams of events now and then. Each begins with the job as it is.
  for (let isThere = true; isThere;) {
    isThere = false;
    for await (const job of jobEvents(client, id)) {
      if (job.endedAt !== undefined) return job;
      isThere = true;
      kind = job.kind;
      onProgress(job.progress);
    }
    if (isThere) await setTimeout(RECONNECT_MS);
  }
  // What is to be warmed is kept on the disk.
  const next =
    kind === "warm"
      ? "it goes on once the cache runs again, as entrepot jobs then shows"
      : "run the command again";
  throw new AdminError(503, `the cache stopped before it was done: ${next}`);
}

/** @throws AdminError unless it is done */
function resultOf({ state, result, problem }: Job): unknown {
  if (state === "done") return result;
  if (problem) throw new AdminError(problem.status, problemText(problem));
  throw new AdminError(409, "cancelled: what was done by then stays done");
}

/** The progress of a job that reads files. */
export function filesOf({ done = {}, of }: Progress): FileProgress {
  const { blobs: files = 0, bytes = 0 } = done;
  if (of?.blobs === undefined || of.bytes === undefined) return { files, bytes };
  return { files, bytes, of: { files: of.blobs, bytes: of.bytes } };
}
