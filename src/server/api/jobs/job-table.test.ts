import { expect, test } from "bun:test";
import { RefusedError } from "../../../cache/retention/refused-error.ts";
import type { Job, Progress } from "../../../api/jobs.ts";
import { until } from "../../../../test/harness/waiting.ts";
import { createLog } from "../../../telemetry/log.ts";
import { Failures } from "../failures.ts";
import { ProblemError } from "../problem-details.ts";
import { IncompleteResult, Jobs } from "./job-table.ts";

const failures = new Failures(createLog({ format: "json", level: "silent" }));

/** A job that waits for its test, unless it is cancelled. */
function waiting(jobs: Jobs, kind = "wait") {
  const end = Promise.withResolvers<object>();
  let report: (progress: Progress) => void = () => {};
  const job = jobs.start({
    kind,
    title: "Wait",
    run(progress, signal) {
      report = progress;
      signal.addEventListener("abort", () => end.reject(new Error("aborted")));
      return end.promise;
    },
  });
  return { id: job.id, end, report: (progress: Progress) => report(progress) };
}

function problemOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof ProblemError) return `${error.problem.status} ${error.problem.next}`;
    throw error;
  }
  return "none";
}

async function lastOf(changes: AsyncIterable<Job>): Promise<Job | undefined> {
  let last: Job | undefined;
  for await (const job of changes) last = job;
  return last;
}

test("a job tells its progress and its result", async () => {
  await using jobs = new Jobs(failures);
  const { id, end, report } = waiting(jobs);
  const changes = jobs.watch(id);
  const next = async () => (await changes.next()).value;
  expect(await next()).toMatchObject({ id, state: "running", progress: {} });
  report({ done: { blobs: 1 } });
  report({ done: { blobs: 2 } });
  // A reader that was too slow for the first gets the last.
  expect(await next()).toMatchObject({ state: "running", progress: { done: { blobs: 2 } } });
  end.resolve({ blobs: 3 });
  expect(await next()).toMatchObject({ state: "done", result: { blobs: 3 } });
  expect(await changes.next()).toEqual({ done: true, value: undefined });
  report({ done: { blobs: 9 } });
  expect(jobs.get(id).progress).toEqual({ done: { blobs: 2 } });
});

test("a job that fails says what to do", async () => {
  await using jobs = new Jobs(failures);
  const run = () =>
    Promise.reject(new RefusedError("no-match", "there is no image", "name another"));
  const { id } = jobs.start({ kind: "purge", title: "Purge", run });
  expect(await lastOf(jobs.watch(id))).toMatchObject({
    state: "failed",
    problem: { status: 404, detail: "there is no image", next: "name another" },
  });
});

test("a job is cancelled, and only while it runs", async () => {
  await using jobs = new Jobs(failures);
  const { id } = waiting(jobs);
  expect(jobs.cancel(id).state).toBe("cancelling");
  expect(problemOf(() => jobs.cancel(id))).toBe("none");
  expect((await lastOf(jobs.watch(id)))?.state).toBe("cancelled");
  expect(problemOf(() => jobs.cancel(id))).toStartWith("409");
  expect(problemOf(() => jobs.cancel("other"))).toStartWith("404");
});

test("a job that did not reach all says so, and is done", async () => {
  await using jobs = new Jobs(failures);
  const { id, end } = waiting(jobs);
  const shortfall = { outcome: "partly", shortfall: "1 of 2 images is not here" } as const;
  end.resolve(new IncompleteResult({ ready: 1 }, shortfall));
  const ended = await lastOf(jobs.watch(id));
  expect(ended).toMatchObject({ state: "done", result: { ready: 1 }, ...shortfall });
  const whole = waiting(jobs);
  whole.end.resolve({ ready: 2 });
  expect(await lastOf(jobs.watch(whole.id))).not.toHaveProperty("outcome");
});

test("four jobs run at once, and 64 are kept", async () => {
  await using jobs = new Jobs(failures);
  const first = waiting(jobs);
  for (let count = 0; count < 70; count += 1) {
    const { id, end } = waiting(jobs);
    end.resolve({});
    await lastOf(jobs.watch(id));
  }
  expect(jobs.all).toHaveLength(64);
  expect(jobs.all.at(-1)?.id).toBe(first.id);
  for (let count = 0; count < 3; count += 1) waiting(jobs);
  expect(problemOf(() => waiting(jobs))).toStartWith("503 wait until one has ended, or cancel one");
  first.end.resolve({});
  await until(() => jobs.get(first.id).state === "done", { what: "the first job is done" });
  expect(problemOf(() => waiting(jobs))).toBe("none");
});

test("jobs end with the table, which starts no others then", async () => {
  const jobs = new Jobs(failures);
  const { id } = waiting(jobs);
  await jobs[Symbol.asyncDispose]();
  expect(jobs.get(id).state).toBe("cancelled");
  expect(problemOf(() => waiting(jobs))).toStartWith("503");
});
