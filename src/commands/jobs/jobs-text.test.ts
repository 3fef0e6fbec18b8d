import { expect, test } from "bun:test";
import type { Job } from "../../api/jobs.ts";
import { jobsText } from "./jobs-text.ts";

const NOW = 1_800_000_000_000;

function job(changed: Partial<Job>): Job {
  const id = "0123456789-and-more";
  return { id, kind: "x", title: "X", state: "running", startedAt: NOW, progress: {}, ...changed };
}

test("jobs are listed with their progress, and why one failed", () => {
  const GIB = 1024 ** 3;
  const jobs = [
    job({
      title: "Warm 2 images",
      progress: {
        done: { images: 1, blobs: 3, bytes: GIB },
        of: { images: 2, blobs: 9, bytes: 2 * GIB },
        note: "docker.io limits\nrequests",
      },
    }),
    job({ state: "cancelling", progress: { done: { blobs: 3 } }, startedAt: NOW - 60_000 }),
    job({
      state: "done",
      outcome: "partly",
      title: "Warm",
      shortfall: "1 of 2 images is not here",
    }),
    job({
      state: "failed",
      title: "Purge \u001B[31m",
      problem: { type: "", title: "", status: 404, detail: "no image matches", next: "" },
    }),
  ];
  expect(jobsText(jobs, NOW)).toBe(
    [
      "ID        STATE       STARTED    PROGRESS                                                                     JOB",
      "01234567  running     just now   1 of 2 images, 3 of 9 blobs, 1 GiB of 2 GiB; docker.io limits\\u000arequests  Warm 2 images",
      "01234567  cancelling  1 min ago  3 blobs                                                                      X",
      "01234567  partly      just now   -                                                                            Warm: 1 of 2 images is not here",
      "01234567  failed      just now   -                                                                            Purge \\u001b[31m: no image matches",
    ].join("\n"),
  );
  expect(jobsText([])).toBe("No jobs since the start of the cache.");
});
