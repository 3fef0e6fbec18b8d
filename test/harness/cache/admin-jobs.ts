import { type Job, jobSchema } from "../../../src/api/jobs.ts";

/** What a cache answers to an order: a job when it has ended, or why there is none. */
export type Ordered =
  { readonly status: 202; readonly job: Job } | { readonly status: number; readonly text: string };

/**
 * Orders long work of a cache by its admin API, and waits for the end of it.
 *
 * @param order such as `purge`
 */
export async function orderJob(
  adminAddress: string,
  order: string,
  body: object,
  signal?: AbortSignal,
): Promise<Ordered> {
  const base = `http://${adminAddress}/api/v1`;
  const init = { ...(signal && { signal }) };
  const response = await fetch(`${base}/${order}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    ...init,
  });
  if (response.status !== 202) return { status: response.status, text: await response.text() };
  const { id } = jobSchema.parse(await response.json());
  const events = await fetch(`${base}/jobs/${id}/events`, init);
  await events.text();
  const ended = await fetch(`${base}/jobs/${id}`, init);
  return { status: 202, job: jobSchema.parse(await ended.json()) };
}

/** The job that an order started. */
export function jobOf(ordered: Ordered): Job {
  if ("job" in ordered) return ordered.job;
  throw new Error(`no job was started: ${ordered.status} ${ordered.text}`);
}
