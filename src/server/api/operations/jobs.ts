import { z } from "zod";
import { type Job, jobSchema, jobsSchema } from "../../../api/jobs.ts";
import type { Concealment } from "../concealment.ts";
import { eventStream, type ServerEvent } from "../event-stream.ts";
import type { Jobs } from "../jobs/job-table.ts";
import { operation, type Operation } from "../operation.ts";
import { ReaderLimit } from "../reader-limit.ts";
import { API_PREFIX } from "../router.ts";

/** Minimum time between two events of a job, in milliseconds. */
const REPORT_INTERVAL = 200;

const params = z.strictObject({ id: z.string().max(100) });

export function jobOperations(jobs: Jobs): Operation[] {
  const readers = new ReaderLimit("GET /api/v1/jobs/{id}");
  return [
    operation({
      id: "listJobs",
      method: "GET",
      path: "/jobs",
      tag: "jobs",
      summary: "The jobs that run, and the last ones that have ended",
      right: "read",
      answer: jobsSchema,
      handle: () => ({ items: jobs.all }),
    }),
    operation({
      id: "getJob",
      method: "GET",
      path: "/jobs/{id}",
      tag: "jobs",
      summary: "One job",
      right: "read",
      params,
      answer: jobSchema,
      refusals: [404],
      handle: ({ params: { id } }) => jobs.get(id),
    }),
    operation({
      id: "cancelJob",
      method: "DELETE",
      path: "/jobs/{id}",
      tag: "jobs",
      summary: "Cancels a job",
      description:
        "The job ends as soon as nothing is left half done. What it has done by then stays done.",
      right: "admin",
      params,
      status: 202,
      answer: jobSchema,
      refusals: [404, 409],
      handle: ({ params: { id } }) => jobs.cancel(id),
    }),
    operation({
      id: "watchJob",
      method: "GET",
      path: "/jobs/{id}/events",
      tag: "jobs",
      summary: "The progress of a job, as server-sent events",
      right: "read",
      params,
      answer: {
        type: "text/event-stream",
        schema: z.string(),
        description:
          "Events `job`, whose data is a `Job` as JSON: as it is now, after each change, and as it ended, which ends the stream",
      },
      refusals: [404, 503],
      handle({ params: { id }, concealment }) {
        const changes = jobs.watch(id, REPORT_INTERVAL);
        return eventStream(eventsOf(changes, concealment), readers.enter());
      },
    }),
  ];
}

/** The headers of `accepted`. */
export const LOCATION = { location: "where the job is" };

/** The answer to a request that has started a job. */
export function accepted(job: Job): Response {
  const headers = { location: `${API_PREFIX}/jobs/${job.id}`, "cache-control": "no-store" };
  return Response.json(job, { status: 202, headers });
}

async function* eventsOf(
  changes: AsyncIterable<Job>,
  concealment: Concealment | undefined,
): AsyncGenerator<ServerEvent> {
  for await (const job of changes) {
    yield { event: "job", data: concealment ? await concealment.answer(job) : job };
  }
}
