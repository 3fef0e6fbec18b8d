import { z } from "zod";
import { patternField } from "../../../api/pins.ts";
import { MAX_NAMED, purgeJobSchema, purgePreviewSchema, purgeSchema } from "../../../api/purge.ts";
import type { Cache } from "../../../cache/cache.ts";
import { requestedPattern } from "../../../cache/retention/requested-pattern.ts";
import { withTimeout } from "../../../cache/with-timeout.ts";
import type { Jobs } from "../jobs/job-table.ts";
import { operation, type Operation } from "../operation.ts";
import { ProblemError } from "../problem-details.ts";
import type { SurveyLimit } from "../survey-limit.ts";
import { accepted, LOCATION } from "./jobs.ts";
import type { Orders, PreparedPurge } from "./orders.ts";

export interface PurgeParts {
  readonly orders: Pick<Orders, "purge">;
  /** What clients have got, and is still being stored. */
  readonly pulled: Pick<Cache, "settled" | "storing">;
  readonly jobs: Jobs;
  readonly surveys: SurveyLimit;
}

/** How long a purge waits for what clients have got and is still being stored, in milliseconds. */
const PURGE_PATIENCE_MS = 10_000;

export function purgeOperations({ orders, pulled, jobs, surveys }: PurgeParts): Operation[] {
  return [
    operation({
      id: "previewPurge",
      method: "GET",
      path: "/purge",
      tag: "images",
      summary: "What a purge would remove",
      right: "read",
      query: z.strictObject({ pattern: patternField }),
      refusals: [404, 409, 503],
      answer: purgePreviewSchema,
      handle({ query: { pattern }, signal, concealment }) {
        concealment?.refuse("what a purge would remove");
        return surveys.run(async () => finish(await orders.purge(pattern, true, signal)));
      },
    }),
    operation({
      id: "purge",
      method: "POST",
      path: "/purge",
      tag: "images",
      summary: "Removes images, and the blobs that no other image uses",
      description: "A job. It fails, and removes nothing, if one of the images is pinned.",
      right: "admin",
      body: purgeSchema,
      status: 202,
      headers: LOCATION,
      refusals: [503],
      answer: purgeJobSchema,
      handle({ body }) {
        const pattern = requestedPattern(body.pattern).text;
        const run = async (signal: AbortSignal) => {
          await mustBeStored(pulled);
          return finish(await orders.purge(pattern, false, signal), signal);
        };
        return accepted(
          jobs.start({
            kind: "purge",
            title: `Purge ${pattern}`,
            run: (_progress, signal) => surveys.run(() => run(signal)),
          }),
        );
      },
    }),
  ];
}

/** Once it removes the first image, it goes on to the last one. */
async function finish({ names, run }: PreparedPurge, signal?: AbortSignal) {
  const images: string[] = [];
  let count = 0;
  for await (const name of names) {
    signal?.throwIfAborted();
    if (images.length < MAX_NAMED) images.push(name);
    count += 1;
  }
  return { images, count, ...(await run()) };
}

/**
 * What is still being stored would be there after a purge that does not know it.
 *
 * @throws ProblemError if the disk takes too long
 */
async function mustBeStored(pulled: PurgeParts["pulled"]): Promise<void> {
  const settled = pulled.settled().then(() => true);
  if (await withTimeout(PURGE_PATIENCE_MS, settled)) return;
  const count = pulled.storing;
  const detail = `the disk is slow: ${count} manifests and blobs that were pulled are still being written, and a purge would not find them`;
  throw new ProblemError({ status: 503, detail, next: "try again later" });
}
