import type { Progress } from "../../../api/jobs.ts";
import {
  evictedSchema,
  fsckJobSchema,
  gcJobSchema,
  verificationSchema,
} from "../../../api/upkeep.ts";
import type { StoreAdmin } from "../../../cache/retention/store-admin.ts";
import type { Jobs } from "../jobs/job-table.ts";
import { operation, type Operation } from "../operation.ts";
import { accepted, LOCATION } from "./jobs.ts";

export interface UpkeepParts {
  readonly admin: Pick<StoreAdmin, "collect" | "figures" | "verify">;
  readonly jobs: Jobs;
}

/** Default read rate of a verification, which runs beside traffic, in bytes per second. */
export const DEFAULT_RATE = 100 * 1024 * 1024;

export function upkeepOperations({ admin, jobs }: UpkeepParts): Operation[] {
  return [
    operation({
      id: "previewGc",
      method: "GET",
      path: "/gc",
      tag: "upkeep",
      summary: "What exceeds the limits, and would be evicted",
      right: "read",
      answer: evictedSchema,
      handle: () => admin.collect(true),
    }),
    operation({
      id: "gc",
      method: "POST",
      path: "/gc",
      tag: "upkeep",
      summary: "Evicts what exceeds the limits now",
      description: "A job. A running cache evicts by itself as well.",
      right: "admin",
      status: 202,
      headers: LOCATION,
      refusals: [503],
      answer: gcJobSchema,
      handle: () => {
        const title = "Evict what exceeds the limits";
        return accepted(jobs.start({ kind: "gc", title, run: () => admin.collect(false) }));
      },
    }),
    operation({
      id: "fsck",
      method: "POST",
      path: "/fsck",
      tag: "upkeep",
      summary: "Verifies every stored byte",
      description: "A job, which takes as long as it takes to read all blobs.",
      right: "admin",
      body: verificationSchema,
      status: 202,
      headers: LOCATION,
      refusals: [503],
      answer: fsckJobSchema,
      handle: ({ body: { repair, rate = DEFAULT_RATE } }) =>
        accepted(
          jobs.start({
            kind: "fsck",
            title: "Verify every stored byte",
            async run(progress, signal) {
              const { blobs, blobBytes } = await admin.figures();
              const of = { blobs, bytes: blobBytes };
              const verified = await admin.verify({
                // Corrupt blobs are quarantined even without `repair`, if that is possible: they must
                // never be served.
                repair: repair || "if-possible",
                rate,
                signal,
                onProgress: (made) => progress(progressOf(made, of)),
              });
              signal.throwIfAborted();
              return verified;
            },
          }),
        ),
    }),
  ];
}

/** The progress of work that reads files. */
export function progressOf(
  { files, bytes }: { readonly files: number; readonly bytes: number },
  of?: Progress["of"],
): Progress {
  return { done: { blobs: files, bytes }, ...(of && { of }) };
}
