import { setTimeout } from "node:timers/promises";
import { type Job, jobSchema } from "../../api/jobs.ts";
import { type AdminClient, AdminError } from "./admin-client.ts";

/** How often a job is looked at where its events cannot be read, in milliseconds. */
const LOOK_MS = 1000;
/** A token that is replaced is no longer accepted some moments before it is read from its file. In milliseconds. */
const TOKEN_PATIENCE_MS = 5000;

/**
 * A job as it is, and as it changes. Ends early if the connection breaks, as that of a killed cache does, or if there is
 * no such job any more.
 *
 * @throws AdminError if the token is no longer accepted
 */
export async function* jobEvents(client: AdminClient, id: string): AsyncGenerator<Job> {
  const body = await eventsOf(client, id);
  if (body === "too many") {
    yield* looksAt(client, id);
    return;
  }
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of untilBroken(body)) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line.startsWith("data: ")) yield jobSchema.parse(JSON.parse(line.slice(6)));
    }
  }
}

type Events = ReadableStream<Uint8Array> | null;

async function eventsOf(client: AdminClient, id: string): Promise<Events | "too many"> {
  const params = { path: { id } };
  const refusedSince = performance.now();
  for (;;) {
    const answer = await client.api
      .GET("/jobs/{id}/events", { params, parseAs: "stream" })
      .catch(() => undefined);
    if (answer?.data) return answer.data;
    const status = answer?.response.status;
    if (status === 401 || status === 403) {
      if (performance.now() - refusedSince > TOKEN_PATIENCE_MS) throw noLonger(status, id);
      await setTimeout(LOOK_MS);
    } else return status === 503 || status === 429 ? "too many" : null;
  }
}

function noLonger(status: number, id: string): AdminError {
  return new AdminError(
    status,
    `the token is no longer accepted: the job ${id} goes on. Set ENTREPOT_ADMIN_TOKEN, or give the --config that contains the new one, and entrepot jobs shows the job`,
  );
}

/** Where others read all the events there may be. */
async function* looksAt(client: AdminClient, id: string): AsyncGenerator<Job> {
  for (;;) {
    const answer = await client.api
      .GET("/jobs/{id}", { params: { path: { id } } })
      .catch(() => undefined);
    const { success, data } = jobSchema.safeParse(answer?.data);
    if (!success) return;
    yield data;
    if (data.endedAt !== undefined) return;
    await setTimeout(LOOK_MS);
  }
}

async function* untilBroken(body: Events): AsyncGenerator<Uint8Array> {
  try {
    yield* body ?? [];
  } catch {
    return;
  }
}
